// JUnit reports as Bun, Deno and Node write them, reduced to one list of tests with full names.

export interface TestResult {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  readonly message: string;
}

const TAG = /<(\/?)(testcase|failure|error|skipped)\b((?:[^"'>]|"[^"]*"|'[^']*')*?)(\/?)>/g;

export function parseJunit(xml: string): readonly TestResult[] {
  const results: TestResult[] = [];
  let name: string | undefined;
  let outcome: TestResult["outcome"] = "passed";
  let message = "";
  for (const match of xml.matchAll(TAG)) {
    const [whole, closing, tag, attributes = "", selfClosing] = match;
    if (tag === "testcase") {
      if (closing === "") {
        name = fullName(attributes);
        outcome = "passed";
        message = "";
      }
      if ((closing === "/" || selfClosing === "/") && name !== undefined) {
        results.push({ name, outcome, message });
        name = undefined;
      }
    } else if (closing === "") {
      outcome = tag === "skipped" ? "skipped" : "failed";
      const end = match.index + whole.length;
      const text = selfClosing === "/" ? "" : xml.slice(end, xml.indexOf("</", end));
      message = unescape(text).trim() || attribute(attributes, "message");
    }
  }
  return withoutParents(results);
}

/**
 * Bun and Node put the enclosing describes into classname, Deno into the name. Without one, Node's classname is
 * "test"; Deno's is always a file.
 */
function fullName(attributes: string): string {
  const name = attribute(attributes, "name");
  const group = attribute(attributes, "classname");
  return group === "" || group === "test" || /\.(ts|js|mts|mjs)$/.test(group) ? name : `${group} > ${name}`;
}

/** Deno lists a describe as a test as well; it only counts where it failed by itself. */
function withoutParents(results: readonly TestResult[]): readonly TestResult[] {
  const isParent = (test: TestResult): boolean =>
    results.some((other) => other.name.startsWith(`${test.name} > `));
  const failedBySteps = /^\d+ test steps? failed\.?$/;
  return results.filter((test) =>
    (test.outcome === "failed" && !failedBySteps.test(test.message)) || !isParent(test)
  );
}

function attribute(attributes: string, name: string): string {
  const match = new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(attributes);
  return unescape(match?.[1] ?? "");
}

function unescape(text: string): string {
  const names: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, code: string) => {
    if (code.startsWith("#x")) return String.fromCodePoint(Number.parseInt(code.slice(2), 16));
    if (code.startsWith("#")) return String.fromCodePoint(Number(code.slice(1)));
    return names[code] ?? whole;
  });
}
