import type { System } from "../../ffi/libc.ts";
import { shellStatus } from "../processes/exit_status.ts";
import type { ProcessEvent } from "../processes/event.ts";
import { openProcessWatch } from "../processes/open.ts";
import type { WatchProcessesOptions } from "../processes/options.ts";
import type { ProcessWatch } from "../processes/watch.ts";
import { monotonicNs } from "../procfs/clock.ts";
import { readLink, readTextFile } from "../procfs/file.ts";
import { ProcFs } from "../procfs/process.ts";
import { hasEnded } from "../procfs/text.ts";
import type { StartedProcess, TraceProcessesOptions } from "./options.ts";
import { TraceRecorder } from "./recorder.ts";
import { redactArguments } from "./redact.ts";
import { SpanIds } from "./trace_context.ts";
import { RECORDING_VERSION, type RecordingEnd, type RecordingHeader } from "./recording.ts";

/** A storm of a build's programs waits here until it is read. */
const RECEIVE_BUFFER_BYTES = 64 << 20;
/** Nobody looks before the end: one receive then brings many events. What lives longer has a directory that can be read. */
const LATENCY_MS = 100;
/** How much of a command line is kept, in bytes. */
const COMMAND_LINE_BYTES = 16_384;
/** How often it is checked whether the process still lives: its exit may be among what was lost. */
const CHECK_MS = 1000;

/** What a recording is made of. */
export interface RecordParts {
  /** Called with the first line, before any event. */
  readonly onHeader: (header: RecordingHeader) => void;
  /** Called with what a user should know who wonders why nothing is recorded. */
  readonly onNote?: (note: string) => void;
  /** Called with every event that is recorded. */
  readonly onEvent: (event: ProcessEvent) => void;
}

/** Records processes until they have ended, and returns the last line of the recording. */
export async function recordProcesses(
  system: System,
  options: TraceProcessesOptions,
  { onHeader, onNote, onEvent }: RecordParts,
): Promise<RecordingEnd> {
  const { start, until, write = () => {}, redact = false } = options;
  until?.throwIfAborted();
  const { libc } = system;
  const self = libc.getpid();
  await using watch = openProcessWatch(system, watchOptions(options, self));
  for (const { note } of watch.stats().filters) if (note !== undefined) onNote?.(note);
  const header = makeHeader(system, options);
  onHeader(header);
  const recorder = new TraceRecorder(header, { write, onEvent, redacts: redact });
  recorder.flush();
  const child = await start?.(new SpanIds(header).traceParent());
  if (child !== undefined) recorder.follow(pidOf(child), self);
  using _ = new End(system, watch, recorder, options, child?.pid);
  await readEvents(watch, recorder, options);
  const { rootExit } = recorder;
  const status = rootExit === undefined ? undefined : shellStatus(rootExit);
  return recorder.finish(
    { status: status ?? statusOf(child), usageRefusal: watch.stats().usage?.refusal },
    child === undefined ? monotonicNs(libc) : undefined,
  );
}

/** What is watched. */
function watchOptions({ start, pid, cgroup }: TraceProcessesOptions, self: number): WatchProcessesOptions {
  return {
    descendantsOf: start === undefined ? pid : self,
    cgroup: cgroup === undefined ? undefined : [cgroup],
    snapshot: start === undefined,
    events: ["fork", "exec", "exit"],
    processInfo: { fields: ["commandLine", "exe", "user", "cwd"], commandLineBytes: COMMAND_LINE_BYTES },
    usage: true,
    latencyMs: LATENCY_MS,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
  };
}

/** Reads events until the child has ended, or all that is watched. */
async function readEvents(
  watch: ProcessWatch,
  recorder: TraceRecorder,
  { wait = false, onProgress }: TraceProcessesOptions,
): Promise<void> {
  for await (const batch of watch.batches()) {
    recorder.apply(batch);
    const { processes, running, failed, rootExit } = recorder;
    onProgress?.({ processes, running, failed });
    if (rootExit !== undefined && (!wait || running === 0)) break;
  }
}

/** Ends the watch when that is asked for, and when what it waits for has ended and the exit was lost. */
class End implements Disposable {
  readonly #until: AbortSignal | undefined;
  readonly #onAbort: () => void;
  readonly #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    { libc }: System,
    watch: ProcessWatch,
    recorder: TraceRecorder,
    { until, wait = false }: TraceProcessesOptions,
    root: number | undefined,
  ) {
    this.#until = until;
    this.#onAbort = () => watch.drain();
    until?.addEventListener("abort", this.#onAbort, { once: true });
    if (until?.aborted) watch.drain();
    if (root === undefined) return;
    const procFs = new ProcFs(libc);
    const isGone = (pid: number): boolean => {
      const stat = procFs.stat(pid);
      return stat === undefined ? procFs.missing === "gone" : hasEnded(stat);
    };
    // The exit event of a process that has ended is in the queue, if it was not lost.
    this.#timer = setInterval(() => {
      if (isGone(root) && (!wait || [...recorder.live].every(isGone))) watch.drain();
    }, CHECK_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#until?.removeEventListener("abort", this.#onAbort);
  }
}

function makeHeader({ libc }: System, options: TraceProcessesOptions): RecordingHeader {
  const read = (path: string): string | undefined => readTextFile(libc, path)?.trim();
  const { pid, cgroup, command = [], traceParent, redact = false } = options;
  return {
    type: "trace",
    version: RECORDING_VERSION,
    timeMs: Date.now(),
    timestampNs: String(monotonicNs(libc)),
    bootId: read("/proc/sys/kernel/random/boot_id"),
    kernel: read("/proc/sys/kernel/osrelease"),
    processors: countProcessors(read("/proc/self/status")),
    command: redact ? redactArguments(command) : command,
    cwd: readLink(libc, "/proc/self/cwd") ?? "",
    pid,
    cgroup,
    traceParent,
  };
}

/** How many processors this program may use, out of its /proc/PID/status: `Cpus_allowed_list:	0-3,8`. */
function countProcessors(status: string | undefined): number {
  const list = /^Cpus_allowed_list:\s*([\d,-]+)$/m.exec(status ?? "")?.[1] ?? "0";
  return list.split(",").reduce((sum, range) => {
    const [first, last] = range.split("-");
    return sum + Number(last ?? first) - Number(first) + 1;
  }, 0);
}

function pidOf({ pid }: StartedProcess): number {
  if (typeof pid === "number") return pid;
  throw new Error("Cannot trace processes: nothing was started: start() returned no pid");
}

/** The status of a child as its parent knows it, if its exit event was lost. */
function statusOf(child: StartedProcess | undefined): number | null {
  const { exitCode = null, signalCode = null } = child ?? {};
  return shellStatus({ exitCode, signal: signalCode, coreDumped: false }) ?? null;
}
