import { type Command, Option } from "commander";
import { type ColourChoice, paintVerdict, wantsColour } from "../io/colour.ts";
import { EXIT } from "../errors.ts";
import { diagnose, type Diagnosis, type DiagnosisCheck } from "../../../mod.ts";
import { type Output, standardOutput } from "../io/output.ts";
import { environment } from "../runtime.ts";
import { jsonLine } from "../../wire/json_text.ts";
import { wrap } from "../io/text.ts";
import { safeSentence } from "../../wire/escape.ts";

/** The options as commander parses them. */
interface DoctorFlags {
  readonly json?: boolean;
  readonly color: ColourChoice;
}

/** Width of the verdict column, including a space. */
const VERDICT = 6;
/** On narrower terminals the text goes below the name instead of next to it. */
const NARROW = 72;

const DETAILS = `
Each check reports ok, warn (something is limited or unknown) or fail (process
events cannot be watched), and what to do about it. The checks are:

  runtime            the runtime, its version and the platform
  permission         whether the runtime allows FFI (Deno: --allow-ffi)
  libc               which C library was loaded
  kernel             the release, and its limits for a watch
  connector          whether connector sockets can be opened (CONFIG_CONNECTOR)
  network-namespace  the connector exists only in the initial one
  pid-namespace      the kernel accepts subscriptions only from the initial one
  user-namespace     the kernel accepts subscriptions only from the initial one
  time-namespace     whether the clock here is that of the events
  process-events     whether the kernel provides them (CONFIG_PROC_EVENTS)
  identifiers        what the kernel serves on the connector
  capabilities       the user, CAP_NET_ADMIN and CAP_SYS_PTRACE
  seccomp            system call filters and no_new_privs
  receive-buffer     the size that the kernel grants
  listeners          who else listens to process events
  proc               whether /proc hides processes (hidepid)
  descriptors        how many files may be open
  exec-records       whether the kernel can record command lines
  usage              whether the kernel sends what processes have used
  subscription       the proof: subscribe and receive an event of our own

--json prints one object: "verdict", the worst of all, and "checks", a list of
objects with "name" as above, "verdict" ("ok", "warn" or "fail"), "finding" and
"advice" (null if there is nothing to do). Names and verdicts are stable across
versions; the sentences may change.

The exit status is 0 if no check fails, 1 if one does, 2 for wrong arguments.

Examples:
  cnctl doctor
  cnctl doctor --json | jq -r '.checks[] | select(.verdict == "fail").advice'`;

/** Adds `cnctl doctor`. */
export function addDoctor(program: Command, finish: (status: number) => void): void {
  program.command("doctor")
    .description("Check whether processes can be watched here, and what to do if not.")
    .option("-j, --json", "print one JSON object")
    .addOption(
      new Option("--color <when>", "use colour; auto: on a terminal, unless NO_COLOR or TERM=dumb")
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

/** The diagnosis as one line of JSON, with its newline. */
export function diagnosisJson({ verdict, checks }: Diagnosis): string {
  return jsonLine({
    verdict,
    checks: checks.map(({ name, verdict, finding, advice }) => ({ name, verdict, finding, advice })),
  });
}

/** The diagnosis as text, wrapped at the width of the terminal, if there is one. */
export function diagnosisText(diagnosis: Diagnosis, width: number | undefined, colour: boolean): string {
  const checks = merged(diagnosis.checks);
  const beside = width === undefined || width >= NARROW;
  const column = Math.max(...diagnosis.checks.map(({ name }) => name.length)) + 2;
  const indent = beside ? VERDICT + column : VERDICT;
  const lines: string[] = [];
  const shown = new Set<string>();
  for (const { name, verdict, finding, advice } of checks) {
    const text = wrap(safeSentence(finding), width === undefined ? Infinity : width - indent);
    // The first line goes next to the name if both fit.
    const first = !beside ? "" : name.length + 2 <= column ? text.shift() ?? "" : "";
    const word = colour ? paintVerdict(verdict.padEnd(VERDICT), verdict) : verdict.padEnd(VERDICT);
    const title = beside ? name.padEnd(column) : name;
    const titles = wrap(title.trimEnd(), width === undefined ? Infinity : width - VERDICT);
    if (first !== "") lines.push(`${word}${title}${first}`);
    else titles.forEach((part, i) => lines.push(`${i === 0 ? word : " ".repeat(VERDICT)}${part}`));
    for (const line of text) lines.push(" ".repeat(indent) + line);
    if (advice === undefined || shown.has(advice)) continue;
    shown.add(advice); // once, even if two checks have the same cause
    const todo = wrap(safeSentence(advice), width === undefined ? Infinity : width - indent - 3);
    todo.forEach((line, i) => lines.push(`${" ".repeat(indent)}${i === 0 ? "-> " : "   "}${line}`));
  }
  lines.push("", ...wrap(conclusion(checks), width ?? Infinity));
  return `${lines.join("\n")}\n`;
}

/** Merges adjacent checks with the same complaint into one with both names. */
function merged(checks: readonly DiagnosisCheck[]): readonly DiagnosisCheck[] {
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
  if (checks.at(-1)?.verdict !== "ok") return "It is unknown whether processes can be watched here.";
  return `Processes can be watched here${warnings > 0 ? `, with ${many(warnings, "warning")}` : ""}.`;
}
