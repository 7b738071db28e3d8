import { type Command, Option } from "commander";
import { type ColourChoice, paintVerdict, wantsColour } from "../../io/colour.ts";
import { EXIT } from "../../errors.ts";
import { diagnose, type Diagnosis, type DiagnosisCheck } from "../../library.ts";
import { type Output, standardOutput } from "../../io/output.ts";
import { environment } from "../../runtime.ts";
import { safeJson, safeSentence } from "../../io/safe_text.ts";
import { textWidth } from "../../io/text_width.ts";

/** The options as commander reads them. */
interface DoctorFlags {
  readonly json?: boolean;
  readonly color: ColourChoice;
}

/** Columns of the verdict and the space behind it. */
const VERDICT = 6;
/** Below so many columns the text goes under the name, not beside it. */
const NARROW = 72;

const DETAILS = `
Each line is a check: ok, warn (something is limited, or could not be found
out) or fail (process events cannot be watched). Below it stands what to do.
The checks are always the same:

  runtime            the runtime, its version, the platform
  permission         whether the runtime lets us call C (Deno: --allow-ffi)
  libc               which C library was opened
  kernel             the release and what it means for a watch
  connector          whether its sockets can be opened (CONFIG_CONNECTOR)
  network-namespace  the connector is only in the kernel's first
  pid-namespace      subscriptions are taken only from the first
  user-namespace     subscriptions are taken only from the first
  time-namespace     whether the clock here is that of the events
  process-events     whether the kernel serves them (CONFIG_PROC_EVENTS)
  identifiers        what the kernel serves on the connector
  capabilities       the user, CAP_NET_ADMIN, CAP_SYS_PTRACE
  seccomp            filters of system calls, no_new_privs
  receive-buffer     how much of it the kernel grants
  listeners          who else listens to process events
  proc               whether /proc hides processes (hidepid)
  descriptors        how many may be open
  subscription       the proof: we subscribe, and an event of our own comes

--json writes one object: "verdict", the worst of all, and "checks", a list of
objects with "name" as above, "verdict" ("ok", "warn", "fail"), "finding" and
"advice" (null where there is nothing to do). The names and verdicts stay the
same from version to version, the sentences may change.

The exit status is 0 when nothing fails, 1 when something does, 2 for bad
arguments.

Examples:
  cnctl doctor
  cnctl doctor --json | jq -r '.checks[] | select(.verdict == "fail").advice'`;

/** Adds `cnctl doctor`. */
export function addDoctor(program: Command, finish: (status: number) => void): void {
  program.command("doctor")
    .description("Find out why processes cannot be watched here, or how well they can, and what to do.")
    .option("-j, --json", "write JSON, one object")
    .addOption(
      new Option("--color <when>", "colour: auto is on a terminal, but not with NO_COLOR or TERM=dumb")
        .choices(["auto", "always", "never"])
        .default("auto"),
    )
    .addHelpText("after", DETAILS)
    .action(async (flags: DoctorFlags) => finish(await doctor(flags, standardOutput())));
}

async function doctor(flags: DoctorFlags, output: Output): Promise<number> {
  const diagnosis = await diagnose();
  const width = output.width();
  const colour = wantsColour(flags.color, width !== undefined, environment);
  await output.write(flags.json ? diagnosisJson(diagnosis) : diagnosisText(diagnosis, width, colour));
  return diagnosis.verdict === "fail" ? EXIT.failed : EXIT.ok;
}

/** The diagnosis as one line of JSON, with its end. */
export function diagnosisJson({ verdict, checks }: Diagnosis): string {
  const objects = checks.map(({ name, verdict, finding, advice }) =>
    `{"name":${safeJson(name)},"verdict":"${verdict}","finding":${safeJson(finding)},` +
    `"advice":${advice === undefined ? "null" : safeJson(advice)}}`
  );
  return `{"verdict":"${verdict}","checks":[${objects.join(",")}]}\n`;
}

/** The diagnosis for people: wrapped at a terminal's width, or a line each where there is no terminal. */
export function diagnosisText(diagnosis: Diagnosis, width: number | undefined, colour: boolean): string {
  const checks = together(diagnosis.checks);
  const beside = width === undefined || width >= NARROW;
  const column = Math.max(...diagnosis.checks.map(({ name }) => name.length)) + 2;
  const indent = beside ? VERDICT + column : VERDICT;
  const lines: string[] = [];
  const said = new Set<string>();
  for (const { name, verdict, finding, advice } of checks) {
    const text = wrap(safeSentence(finding), width === undefined ? Infinity : width - indent);
    // The first line stands beside the name, where both have room.
    const first = !beside ? "" : name.length + 2 <= column ? text.shift() ?? "" : "";
    const word = colour ? paintVerdict(verdict.padEnd(VERDICT), verdict) : verdict.padEnd(VERDICT);
    const title = beside ? name.padEnd(column) : name;
    const titles = wrap(title.trimEnd(), width === undefined ? Infinity : width - VERDICT);
    if (first !== "") lines.push(`${word}${title}${first}`);
    else titles.forEach((part, i) => lines.push(`${i === 0 ? word : " ".repeat(VERDICT)}${part}`));
    for (const line of text) lines.push(" ".repeat(indent) + line);
    if (advice === undefined || said.has(advice)) continue;
    said.add(advice); // once is enough, although two checks have the same cause
    const todo = wrap(safeSentence(advice), width === undefined ? Infinity : width - indent - 3);
    todo.forEach((line, i) => lines.push(`${" ".repeat(indent)}${i === 0 ? "-> " : "   "}${line}`));
  }
  lines.push("", ...wrap(conclusion(checks), width ?? Infinity));
  return `${lines.join("\n")}\n`;
}

/** Neighbours that complain in the same words become one, with both their names. */
function together(checks: readonly DiagnosisCheck[]): readonly DiagnosisCheck[] {
  const groups: DiagnosisCheck[] = [];
  for (const check of checks) {
    const last = groups.at(-1);
    const same = check.verdict !== "ok" && check.verdict === last?.verdict &&
      check.finding === last.finding && check.advice === last.advice;
    if (same) groups[groups.length - 1] = { ...last, name: `${last.name}, ${check.name}` };
    else groups.push(check);
  }
  return groups;
}

function conclusion(checks: readonly DiagnosisCheck[]): string {
  const count = (verdict: string): number => checks.filter((check) => check.verdict === verdict).length;
  const [warnings, failures] = [count("warn"), count("fail")];
  const many = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
  if (failures > 0) {
    return `Processes cannot be watched here: ${many(failures, "failure")}, ${many(warnings, "warning")}.`;
  }
  if (checks.at(-1)?.verdict !== "ok") return `Whether processes can be watched here is not known.`;
  return `Processes can be watched here${warnings > 0 ? `, with ${many(warnings, "warning")}` : ""}.`;
}

/** `text` in lines of at most `columns`, cut between words; a word that is longer has a line of its own. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && textWidth(line) + 1 + textWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}
