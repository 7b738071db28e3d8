import { type Command, Option } from "commander";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import process from "node:process";
import { type ExitEvent, type ProcessWatch, watchProcesses } from "../../../../mod.ts";
import { monotonicNs } from "../../../procfs/clock.ts";
import { readTextFile } from "../../../procfs/file.ts";
import { openSystem } from "../../../system.ts";
import type { RecordingHeader } from "../../../trace/mod.ts";
import { TraceRecorder } from "../../../trace/recorder.ts";
import { TraceBuilder } from "../../../trace/trace.ts";
import { RECORDING_VERSION } from "../../../trace/recording.ts";
import { safeText } from "../../../wire/escape.ts";
import { EXIT } from "../../errors.ts";
import { shellStatus } from "../../exit_status.ts";
import { writeError } from "../../io/output.ts";
import { type Format, FORMATS, formatTrace } from "./formats.ts";
import { reasonOf, writeFile } from "./report.ts";

interface TraceFlags {
  readonly output?: string;
  readonly wait?: boolean;
  readonly report: Format | "none";
  readonly reportFile?: string;
}

/** As a shell: the command cannot be executed, or there is none. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
/** A storm of a build's programs waits here until it is read. */
const RECEIVE_BUFFER_BYTES = 64 << 20;
/** Nobody looks before the end. */
const LATENCY_MS = 20;
/** Lines that are written together. */
const MOST_CHARACTERS = 65_536;

const DETAILS = `
The command keeps the terminal, standard input and its signals, and runs as fast
as without: it is not stopped, as it would be by strace. When it has ended, the
report goes to standard error. The recording has every process that descends
from it, also those that it started through sudo or as daemons, with command
line, user, start, end, exit status, and (with CAP_NET_ADMIN) CPU time and
memory. What still runs when the command ends is followed with --wait.

Command lines may hold passwords and tokens: so does the recording, which only
its owner may read.

The exit status is that of the command, 128 and the number of the signal that
ended it, 126 if it cannot be executed and 127 if it is not there; 2 for wrong
arguments, 1 if processes cannot be watched: then the command is not started.

Examples:
  cnctl trace -- make -j4
  cnctl trace -o build.trace --report none -- ./build.sh
  cnctl trace --report perfetto --report-file build.perfetto-trace -- make`;

/** Adds `cnctl trace`. */
export function addTrace(program: Command, finish: (status: number) => void): void {
  program.command("trace")
    .description("Run a command, and report all processes that it started.")
    .argument("<command>", "what to run")
    .argument("[args...]", "its arguments")
    .option("-o, --output <file>", "write a recording, for cnctl report")
    .option("--wait", "when the command has ended, wait for what it left running")
    .addOption(
      new Option("--report <format>", "what to make at the end").choices([...FORMATS, "none"]).default(
        "text",
      ),
    )
    .option("--report-file <file>", "write the report there instead of to standard error")
    .addHelpText("after", DETAILS)
    .action(async (file: string, args: readonly string[], flags: TraceFlags) =>
      finish(await trace([file, ...args], flags))
    );
}

/** Runs the command, and returns its exit status. */
async function trace(command: readonly string[], flags: TraceFlags): Promise<number> {
  using file = flags.output === undefined ? undefined : new RecordingFile(flags.output);
  await using watch = await watchProcesses({
    descendantsOf: process.pid,
    events: ["fork", "exec", "exit"],
    processInfo: { fields: ["commandLine", "exe", "user", "cwd"] },
    usage: true,
    latencyMs: LATENCY_MS,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  });
  using signals = new ChildSignals();
  const header = headerOf(command);
  const builder = new TraceBuilder(header);
  const recorder = new TraceRecorder(
    header,
    (line) => file?.write(line),
    (event) => builder.apply({ ...event }),
  );
  const child = spawn(command[0]!, command.slice(1), { stdio: "inherit" });
  const failure = await startFailure(child, command[0]!);
  if (failure !== undefined) return failure;
  signals.child = child;
  recorder.follow(child.pid!);
  const exit = await record(watch, recorder, child.pid!, flags.wait ?? false);
  const status = exit === undefined ? null : shellStatus(exit) ?? null;
  const end = recorder.finish(status);
  const { usage, lost } = watch.stats();
  if (usage?.refusal !== undefined) writeError(`cnctl: CPU time and memory are unknown: ${usage.refusal}\n`);
  if (lost > 0) writeError(`cnctl: ${lost} events were lost: some of what is reported is uncertain\n`);
  if (flags.report !== "none") {
    const report = formatTrace(builder.build(end), flags.report);
    if (flags.reportFile !== undefined) writeFile(flags.reportFile, report);
    else writeError(new TextDecoder().decode(report));
  }
  return status ?? EXIT.failed;
}

/** Reads events until the command has ended, or all of its descendants; returns the exit event of the command. */
async function record(
  watch: ProcessWatch,
  recorder: TraceRecorder,
  pid: number,
  waits: boolean,
): Promise<ExitEvent | undefined> {
  let exit: ExitEvent | undefined;
  for await (const batch of watch.batches()) {
    for (const event of batch) {
      recorder.apply(event);
      if (event.type === "exit" && event.pid === pid && !event.thread) exit = event;
    }
    if (recorder.rootEnded && (!waits || recorder.running === 0)) break;
  }
  return exit;
}

function headerOf(command: readonly string[]): RecordingHeader {
  const { libc } = openSystem("trace");
  const read = (path: string): string | undefined => readTextFile(libc, path)?.trim();
  return {
    type: "trace",
    version: RECORDING_VERSION,
    timeMs: Date.now(),
    timestampNs: String(monotonicNs(libc)),
    bootId: read("/proc/sys/kernel/random/boot_id"),
    kernel: read("/proc/sys/kernel/osrelease"),
    processors: availableParallelism(),
    command,
    cwd: process.cwd(),
  };
}

/** Waits until a command has been started, or returns the exit status that says why it could not be. */
async function startFailure(child: ChildProcess, file: string): Promise<number | undefined> {
  const error = await new Promise<Error | undefined>((resolve) => {
    child.once("spawn", () => resolve(undefined));
    child.once("error", resolve);
  });
  if (error === undefined) return undefined;
  const { code } = error as { code?: string };
  const [reason, status] = code === "ENOENT"
    ? ["there is no such program", NOT_FOUND]
    : [code === "EACCES" ? "it is not executable" : code ?? error.message, NOT_EXECUTABLE];
  writeError(`cnctl: Cannot run ${safeText(file)}: ${reason}\n`);
  return status;
}

/**
 * Signals while a command runs: those of the terminal reach it by themselves, and others are passed on. The command
 * decides what they mean; this program ends after it.
 */
class ChildSignals implements Disposable {
  readonly #listeners: readonly (readonly [NodeJS.Signals, () => void])[];
  /** Who gets them. */
  child: ChildProcess | undefined;

  constructor() {
    const pass = (signal: NodeJS.Signals) => (): void => void this.child?.kill(signal);
    this.#listeners = [
      ["SIGINT", () => {}],
      ["SIGQUIT", () => {}],
      ["SIGTERM", pass("SIGTERM")],
      ["SIGHUP", pass("SIGHUP")],
    ];
    for (const [signal, listener] of this.#listeners) process.on(signal, listener);
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) process.off(signal, listener);
  }
}

/** A recording that is being written. If it cannot be any more, as on a full disk, the command goes on without. */
class RecordingFile implements Disposable {
  readonly #path: string;
  readonly #fd: number;
  #text = "";
  #failed = false;

  /** Makes the file, which only its owner may read: command lines hold secrets. */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#fd = openSync(path, "w", 0o600);
    } catch (error) {
      throw new Error(`Cannot write ${path}: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** Adds a line. */
  write(line: string): void {
    this.#text += line;
    if (this.#text.length >= MOST_CHARACTERS) this.#flush();
  }

  [Symbol.dispose](): void {
    this.#flush();
    closeSync(this.#fd);
  }

  #flush(): void {
    if (this.#failed) return;
    try {
      const bytes = new TextEncoder().encode(this.#text);
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      this.#failed = true;
      writeError(
        `cnctl: Cannot write ${safeText(this.#path)} any more: ${reasonOf(error)}; the command goes on\n`,
      );
    }
    this.#text = "";
  }
}
