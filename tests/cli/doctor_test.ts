import assert from "node:assert/strict";
import { test } from "node:test";
import { diagnosisJson, diagnosisText } from "../../lib/cli/commands/doctor.ts";
import { run } from "../../lib/cli/program.ts";
import { textWidth } from "../../lib/cli/io/text.ts";
import { diagnose, type Diagnosis } from "../../mod.ts";

const SICK: Diagnosis = {
  verdict: "fail",
  checks: [
    { name: "runtime", verdict: "ok", finding: "Bun 1.4.5 on linux, x64" },
    { name: "permission", verdict: "ok", finding: "same" },
    { name: "libc", verdict: "ok", finding: "same" },
    { name: "network-namespace", verdict: "fail", finding: "it is another one", advice: "use the host's" },
    { name: "process-events", verdict: "warn", finding: "unknown: no list" },
    { name: "identifiers", verdict: "warn", finding: "unknown: no list" },
    { name: "listeners", verdict: "ok", finding: "1 socket listens: \x1b[2Jevil\n (pid 7)" },
    { name: "subscription", verdict: "fail", finding: "it is another one", advice: "use the host's" },
  ],
};

test("without a terminal: one line per check, equal complaints merged, advice once", () => {
  assert.equal(
    diagnosisText(SICK, undefined, false),
    `ok    runtime            Bun 1.4.5 on linux, x64
ok    permission         same
ok    libc               same
fail  network-namespace  it is another one
                         -> use the host's
warn  process-events, identifiers
                         unknown: no list
ok    listeners          1 socket listens: \\x1b[2Jevil\\n (pid 7)
fail  subscription       it is another one

Processes cannot be watched here: 2 failures, 1 warning.
`,
  );
});

test("lines fit every terminal width, and nothing is lost", () => {
  const finding = "a finding that is long enough to need several lines in any terminal that there may be";
  const advice = "advice that is long as well, so that it needs more than a line of its own, too";
  const long: Diagnosis = {
    verdict: "fail",
    checks: [...SICK.checks, { name: "proc", verdict: "warn", finding, advice }],
  };
  for (const width of [40, 60, 71, 72, 80, 100, 200]) {
    const lines = diagnosisText(long, width, false).split("\n");
    for (const line of lines) assert(textWidth(line) <= width, `${width}: ${line}`);
    const words = lines.join(" ").replaceAll("->", "").split(/\s+/).join(" ");
    assert(words.includes(finding), words);
    assert(words.includes(advice), words);
    assert.equal(lines[1]!.startsWith("ok    permission  "), width >= 72);
  }
});

test("verdicts are coloured", () => {
  const lines = diagnosisText(SICK, undefined, true).split("\n");
  assert.equal(lines[0], "\x1b[32mok    \x1b[0mruntime            Bun 1.4.5 on linux, x64");
  assert(lines.some((line) => line.startsWith("\x1b[31mfail  \x1b[0mnetwork")));
  assert(lines.some((line) => line.startsWith("\x1b[33mwarn  \x1b[0mprocess")));
});

test("the last line sums up", () => {
  const last = (...checks: Diagnosis["checks"]): string =>
    diagnosisText({ verdict: "ok", checks }, undefined, false).split("\n").at(-2)!;
  const proof = { name: "subscription", verdict: "ok", finding: "arrived" } as const;
  const warning = { name: "kernel", verdict: "warn", finding: "old" } as const;
  assert.equal(last(proof), "Processes can be watched here.");
  assert.equal(last(warning, proof), "Processes can be watched here, with 1 warning.");
  assert.equal(last({ ...proof, verdict: "warn" }), "It is unknown whether processes can be watched here.");
});

test("JSON is one safe line with the whole diagnosis", () => {
  const json = diagnosisJson(SICK);
  assert.match(json, /^[ -~]*\n$/);
  const { verdict, checks } = JSON.parse(json) as { verdict: string; checks: Record<string, unknown>[] };
  assert.equal(verdict, "fail");
  assert.deepEqual(
    checks.map((check) => Object.keys(check).join()),
    checks.map(() => "name,verdict,finding,advice"),
  );
  assert.deepEqual(
    checks.map(({ advice, ...rest }) => advice === null ? rest : { ...rest, advice }),
    SICK.checks.map((check) => ({ ...check })),
  );
});

test("the help lists every check by name", async () => {
  let out = "";
  const status = await run(["help", "doctor"], { out: (text) => out += text, error: () => {} });
  assert.equal(status, 0);
  const listed = [...out.matchAll(/^ {2}([a-z-]+) {2,}\S/gm)].map((match) => match[1]!);
  const names = (await diagnose()).checks.map(({ name }) => name);
  assert.deepEqual(listed.filter((name) => !name.startsWith("-")), names);
  for (const name of ["--json", "--color", "exit status"]) assert(out.includes(name), name);
  for (const line of out.split("\n")) assert(line.length <= 80, line);
});

test("doctor rejects other arguments", async () => {
  for (const args of [["doctor", "extra"], ["doctor", "--jsno"], ["doctor", "--color", "red"]]) {
    let error = "";
    const status = await run(args, { out: () => {}, error: (text) => error += text });
    assert.equal(status, 2);
    assert.match(error, /^cnctl: /);
  }
});
