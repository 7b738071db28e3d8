import { accessSync, constants, statSync } from "node:fs";
import process from "node:process";
import { type Command, InvalidArgumentError, Option } from "commander";
import { type InstanceChange, type InstanceFilter, openInstances } from "../../../processes/instances.ts";
import { LossSum } from "../../../processes/loss_sum.ts";
import { ProcessTree } from "../../../processes/tree.ts";
import { readUserAccounts, type UserAccount } from "../../../procfs/accounts.ts";
import { ProcFs } from "../../../procfs/process.ts";
import { openSystem } from "../../../system.ts";
import { generations, positiveInteger, seconds } from "../../arguments.ts";
import { EXIT } from "../../errors.ts";
import { addFilterFlags, FILTER_DETAILS, type FilterFlags, filterOptions } from "../../filter_flags.ts";
import { writeError } from "../../io/output.ts";
import { lossText } from "../../loss_text.ts";
import { StopRequest } from "../../io/signals.ts";
import { safeText } from "../../../wire/escape.ts";
import { environmentVariables } from "../../runtime.ts";
import { fillIn, valuesOf, variablesOf } from "./job.ts";
import { type Job, Runner } from "./runner.ts";
import { type Occasion, OCCASIONS, triggers } from "./trigger.ts";

/** The options as commander parses them. */
interface OnFlags extends FilterFlags {
  readonly once?: boolean;
  readonly first?: boolean;
  readonly last?: boolean;
  readonly debounce?: number;
  readonly busy: "skip" | "queue" | "restart";
  readonly limit?: number;
  readonly asUser?: boolean;
  readonly parents?: number;
}

const ACTION = "watch processes";

const DETAILS = `
Events:
  start  a program that matches was executed, or a process matches by a new name
         or user; a child that its parent has only forked is no new program
  exit   a process that matches has exited; also a forked child
  fail   the same, with a code other than 0 or by a signal
  core   a process that matches is about to dump core

CMD runs without a shell; put -- before it. Its words, and the variables of its
environment, have what is known of the process; what is unknown is empty:
  {pid}          CNCTL_PID
  {name}         CNCTL_NAME           the name that the kernel keeps
  {status}       CNCTL_STATUS         as in a shell: 128 + n for signal n
  {user}         CNCTL_USER           the real user
  {commandLine}  CNCTL_COMMAND_LINE   quoted for a shell
  {parents}      CNCTL_PARENTS        with --parents: make > sh
                 CNCTL_EVENT          start, exit, fail or core
Unsafe characters in them are escaped. Other braces stay as they are.

A match is no security decision. A process chooses its own name and arguments,
and CMD runs after the fact: the process may have changed, or exited, and its id
may be another process's by then. Never let a shell evaluate these values.

One CMD runs at a time. While it runs, --busy queue keeps up to 10000 others
waiting, skip drops them, and restart ends the one that runs (SIGTERM, after 5 s
SIGKILL) to run the latest. What CMD starts never counts as a match, nor do
their descendants. Standard error has a line for each run, and at the end how
many ran and how many were skipped and why. Ctrl-C, SIGTERM and SIGHUP end the
command and the CMD that runs, with its children.

--first and --last count the processes that match, forked children included. If
one runs already at the start, --first runs CMD at once.

${FILTER_DETAILS.trimStart()}

The exit status is 0 after Ctrl-C, SIGTERM or SIGHUP, or when all processes of
--pid or --tree have exited; with --once that of CMD (126 if it cannot be run,
127 if it does not exist), or 128 + n if signal n came before; 1 on failure; 2
for wrong arguments.

Examples:
  cnctl on fail --cgroup backup.service -- mail -s '{name}: {status}' root
  cnctl on start --first --name steam -- powerprofilesctl set performance
  cnctl on exit --last --name steam -- powerprofilesctl set balanced
  cnctl on core --limit 1/s -- logger -p user.crit '{commandLine} crashed'`;

/** Adds `cnctl on`. */
export function addOn(program: Command, finish: (status: number) => void): void {
  const command = program.command("on")
    .description("Run a command when a program starts, exits, fails or crashes.")
    .usage("[options] <start|exit|fail|core> -- <cmd...>")
    .argument("<event>", `${OCCASIONS.join(", ")}`, checkOccasion)
    .argument("<cmd...>", "the command to run, and its arguments");
  addFilterFlags(command)
    .option("--once", "stop after the first run, with its exit status")
    .option("--first", "with start: only when no other process matches")
    .option("--last", "with exit: only when no other process matches any more")
    .option("--debounce <seconds>", "run once there was no event for this time, for the last one", seconds)
    .addOption(
      new Option("--busy <how>", "what to do with events while the command runs")
        .choices(["queue", "skip", "restart"]).default("queue"),
    )
    .option("--limit <n/s>", "start at most n runs in a second, and skip the rest: 5/s", perSecond)
    .option("--as-user", "run the command as the user of the process (root only)")
    .option("--parents <generations>", "fill in {parents}: make > sh", generations)
    .addHelpText("after", DETAILS)
    .action(async (occasion: Occasion, words: readonly string[], flags: OnFlags) => {
      const complaint = complaintOf(occasion, words, flags);
      if (complaint !== undefined) command.error(`error: ${complaint}`);
      finish(await on(occasion, words, flags));
    });
}

/** What is wrong with the arguments. */
function complaintOf(occasion: Occasion, words: readonly string[], flags: OnFlags): string | undefined {
  if (flags.first && occasion !== "start") return "--first is for start; --last is for exit";
  if (flags.last && occasion !== "exit") return "--last is for exit; --first is for start";
  const { pids, descendantsOf, exclude, ...patterns } = filterOptions(flags);
  const given = [pids, descendantsOf, ...Object.values(patterns), ...Object.values(exclude ?? {})];
  if (given.every((value) => value === undefined)) {
    return "give a filter, such as --name or --user; --name '*' is every process";
  }
  if (flags.asUser && process.geteuid?.() !== 0) {
    return "--as-user requires root; without it, the command runs as you";
  }
  return programComplaint(words[0]!);
}

/** Why the program cannot be executed, if that can be known before. */
function programComplaint(file: string): string | undefined {
  if (/\{\w+\}/.test(file)) return undefined;
  const name = JSON.stringify(file);
  if (file === "") return "the command is empty";
  if (file.includes("/")) {
    const problem = executableProblem(file);
    if (problem === "missing") return `there is no file ${name}`;
    return problem === "refused" ? `${name} is not executable; chmod +x makes it so` : undefined;
  }
  const path = environmentVariables()["PATH"];
  if (path === undefined) return undefined;
  const problems = path.split(":").map((folder) => executableProblem(`${folder || "."}/${file}`));
  if (problems.includes(undefined)) return undefined;
  if (problems.includes("refused")) return `${name} in PATH is not executable`;
  return `there is no program ${name} in PATH; give its path, or put -- before the command`;
}

/** Undefined if a file can be executed, or that is not known. */
function executableProblem(path: string): "missing" | "refused" | undefined {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile() ? undefined : "refused";
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return "missing";
    return code === "EACCES" ? "refused" : undefined;
  }
}

/** Runs the command until it is asked to stop. Returns the exit status. */
async function on(occasion: Occasion, words: readonly string[], flags: OnFlags): Promise<number> {
  using stop = new StopRequest();
  const system = openSystem(ACTION);
  const { pids, descendantsOf, pidReuse, exits: _, ...patterns } = filterOptions(flags);
  const { events, instances: [instances] } = openInstances(
    system,
    [patterns as InstanceFilter],
    {
      pids,
      descendantsOf,
      pidReuse,
      events: ["fork", "exec", "comm", "uid", "exit", ...occasion === "core" ? ["coredump"] as const : []],
      processInfo: { fields: ["user", "commandLine"], parents: flags.parents },
    },
    ACTION,
  );
  const runner = new Runner({
    busy: flags.busy,
    limit: flags.limit,
    debounceMs: flags.debounce === undefined ? undefined : flags.debounce * 1000,
    once: flags.once ?? false,
    onOnce: () => events.close(),
  });
  const losses = new LossSum();
  let undecided = 0;
  try {
    // Everything that this process has started, and what that has.
    const self = system.libc.getpid();
    const own = new ProcessTree(self);
    own.seed(new ProcFs(system.libc));
    stop.onRequest(() => {
      void events.close();
      runner.stop();
    });
    const accounts = readUserAccounts(system.libc);
    const trigger = { occasion, first: flags.first ?? false, last: flags.last ?? false };
    for (const { part, note } of instances!.notes) writeError(`Note: ${part}: ${safeText(note)}\n`);
    writeError(`cnctl: watching for ${occasion}\n`);
    for await (const batch of events.batches()) {
      for (const event of batch) {
        if (event.type === "lost") {
          losses.add(event);
          writeError(
            `cnctl: ${event.count ?? "some"} events were lost: the command may not have run for some\n`,
          );
        }
        const isOwn = event.type !== "lost" && (event.pid === self || own.apply(event));
        const change = isOwn ? undefined : instances!.apply(event);
        if (change === undefined) continue;
        const isIt = triggers(trigger, change);
        if (isIt === undefined) undecided++;
        if (isIt === true) runner.submit(jobOf(occasion, change, words, flags, accounts));
      }
    }
    await runner.finish();
  } finally {
    runner.stop();
    await events.close();
    await runner.finish();
  }
  undecided += instances!.undecided;
  const missed = undecided === 0 ? "" : `; ${undecided} more may match: too little was known of them`;
  const lost = losses.lost + losses.uncountedLosses === 0 ? "" : `; ${lossText(losses)}`;
  writeError(`cnctl: ${runner.summary()}${missed}${lost}\n`);
  if (!flags.once) return EXIT.ok;
  return runner.status ?? stop.signalStatus ?? EXIT.ok;
}

/** What to run for a change. */
function jobOf(
  occasion: Occasion,
  change: InstanceChange,
  words: readonly string[],
  flags: OnFlags,
  accounts: ReadonlyMap<number, UserAccount>,
): Job {
  const values = valuesOf(change, accounts);
  const cause = `${occasion} of ${values.pid} ${values.name}`.trimEnd();
  const environment = { ...environmentVariables(), ...variablesOf(values, occasion) };
  const job = { cause, command: fillIn(words, values), environment };
  if (!flags.asUser) return job;
  const { uid } = change.process;
  const account = uid === undefined ? undefined : accounts.get(uid);
  if (account === undefined) return { ...job, refusal: `user ${uid ?? "unknown"} is not in /etc/passwd` };
  const { name, home, gid } = account;
  return {
    ...job,
    environment: { ...environment, HOME: home, USER: name, LOGNAME: name },
    user: { uid: account.uid, gid },
  };
}

function checkOccasion(value: string): Occasion {
  const occasion = OCCASIONS.find((each) => each === value);
  if (occasion === undefined) throw new InvalidArgumentError(`Choose from ${OCCASIONS.join(", ")}.`);
  return occasion;
}

function perSecond(value: string): number {
  const number = /^(\d+)\/s$/.exec(value)?.[1];
  if (number === undefined) {
    throw new InvalidArgumentError("It must be a number of runs in a second, such as 5/s.");
  }
  return positiveInteger(number);
}
