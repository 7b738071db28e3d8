import { type Command, Option } from "commander";
import { list, processId, seconds, text } from "../../arguments.ts";
import { errorText, EXIT } from "../../errors.ts";
import { endText, shellStatus } from "../../../processes/exit_status.ts";
import { standardOutput, writeError } from "../../io/output.ts";
import { StopRequest } from "../../io/signals.ts";
import { safeText } from "../../../wire/escape.ts";
import { byName, endsOf, type Waited } from "./waits.ts";

/** As timeout(1): the time is over, and the command itself has failed. */
const TIMED_OUT = 124;
const FAILED = 125;

/** The options as commander parses them. */
interface WaitFlags {
  readonly name?: readonly string[];
  readonly any?: boolean;
  readonly for: "start" | "exit";
  readonly timeout?: number;
  readonly print?: boolean;
  readonly goneOk?: boolean;
}

const DETAILS = `
The process may be anybody's, not only a child of the shell. It ends with its
last thread, and is the one that has the id now: a later process with the same
id is not waited for.

With --name, the command waits for every process that runs and matches, and if
there is none, for the next that starts. A pattern matches the name that the
kernel keeps (15 bytes), and the file name of the program or script; * and ? are
wild cards. With several --name, each must be found. "--for start" waits until
one of each runs; a program starts when it is executed.

--print writes one line for each process: its id; for an exit the code, the
signal (with "core" if it dumped one), "unknown" or "gone"; and its name.

The exit status is that of the process: its code, or 128 and the number of the
signal, as in a shell. Of several processes it is the first, in the order in
which they end, that is not 0; with --any that of the first to end. Otherwise:
  0    all have exited with 0, or --for start has found its processes
  2    wrong arguments
  124  the time is over
  125  there is no such process (with --gone-ok, 0), the kernel does not know
       how it ended, or waiting failed; standard error has the reason
  129, 130, 143
       SIGHUP, SIGINT or SIGTERM ended the command, not the process

Examples:
  cnctl wait 4711 && echo it exited with 0
  cnctl wait --name rsync --timeout 3600
  cnctl wait --for start --name postgres --name redis-server
  cnctl wait --any --print $(pgrep -u build make)`;

/** Adds `cnctl wait`. */
export function addWait(program: Command, finish: (status: number) => void): void {
  const command = program.command("wait")
    .description("Wait for any process to exit, with its exit status, or to start.")
    .argument("[pid...]", "the processes", list((value) => [processId(value)]))
    .option("--name <pattern>", "wait for processes with this name instead (repeatable)", list(text))
    .option("--any", "stop after the first process")
    .addOption(new Option("--for <what>", "what to wait for").choices(["start", "exit"]).default("exit"))
    .option("--timeout <seconds>", "give up after this time, with exit status 124", seconds)
    .option("--print", "print each process that has exited or started")
    .option("--gone-ok", "a process that does not exist (any more) has exited with 0")
    .addHelpText("after", DETAILS)
    .action(async (pids: readonly number[] = [], flags: WaitFlags) => {
      const { name: names } = flags;
      if (pids.length === 0 && names === undefined) {
        command.error("error: give the ids of processes, or --name and a pattern");
      }
      if (pids.length > 0 && names !== undefined) {
        command.error("error: give the ids of processes or --name, not both");
      }
      if (pids.length > 0 && flags.for === "start") {
        command.error("error: --for start requires --name: a process that has an id has started");
      }
      if (names !== undefined && flags.goneOk) {
        command.error("error: --gone-ok is for process ids: a name may be waited for before it exists");
      }
      finish(await wait([...new Set(pids)], flags));
    });
}

/** Waits, and returns the exit status. */
async function wait(pids: readonly number[], flags: WaitFlags): Promise<number> {
  using stop = new StopRequest();
  const output = standardOutput();
  const abort = new AbortController();
  stop.onRequest(() => abort.abort());
  stop.after(flags.timeout);
  const { signal } = abort;
  let undecided = 0;
  const waits = flags.name === undefined
    ? endsOf(pids, signal, flags.goneOk ?? false)
    : byName(flags.name, flags.for, signal, (count) => undecided = count);
  const waiting = new Set(pids);
  let status: number = EXIT.ok;
  try {
    for await (const waited of waits) {
      waiting.delete(waited.pid);
      if (flags.print) await output.write(`${line(waited)}\n`);
      const its = statusOf(waited);
      if (its === FAILED && waited.end?.unknownBecause !== undefined) {
        writeError(
          `cnctl: process ${waited.pid} has exited; how, is not known (${waited.end.unknownBecause})\n`,
        );
      }
      if (status === EXIT.ok) status = its;
      if (flags.any) break;
    }
    return status;
  } catch (error) {
    if (stop.signalStatus !== undefined) return stop.signalStatus;
    if (!signal.aborted) {
      writeError(errorText(error));
      return FAILED;
    }
    writeError(`cnctl: ${timeOutText(flags, waiting, undecided)}\n`);
    return TIMED_OUT;
  } finally {
    abort.abort();
  }
}

/** What `$?` is for a process. */
function statusOf({ end }: Waited): number {
  return end === undefined ? EXIT.ok : shellStatus(end) ?? FAILED;
}

/** `4711 3 make`. */
function line({ pid, comm, end }: Waited): string {
  const name = comm === undefined ? [] : [safeText(comm)];
  return [pid, ...(end === undefined ? comm === undefined ? ["gone"] : [] : [endText(end)]), ...name].join(
    " ",
  );
}

/** Why the time was not enough. */
function timeOutText(
  { name, timeout, for: what }: WaitFlags,
  waiting: ReadonlySet<number>,
  undecided: number,
): string {
  const whom = name === undefined ? [...waiting].join(", ") : name.map(safeText).join(", ");
  const missed = undecided === 0
    ? ""
    : `; ${undecided} programs may have matched, and exited before they could be read`;
  return `waited ${timeout} s for ${whom} to ${what} in vain${missed}`;
}
