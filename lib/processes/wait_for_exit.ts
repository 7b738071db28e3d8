import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { checkOptions, checkPid, checkSignal, type OptionChecks } from "../errors/arguments.ts";
import type { ExitEvent, ProcessEvent } from "./event.ts";
import { exitStatusFields } from "./codec.ts";
import { ProcessGoneError } from "../errors/process_gone_error.ts";
import { ProcFs, type ReadFailure } from "../procfs/process.ts";
import { type HandleMachine, ProcessHandle } from "./process_handle.ts";
import { openProcessWatch } from "./open.ts";

/** How a process ended. */
export interface ExitStatus {
  /** The exit code, or null if a signal ended it. */
  readonly exitCode: number | null;
  /**
   * The name of the signal that ended it (`"SIGKILL"`), or null. Both are null if only the fact that it has ended is
   * known.
   */
  readonly signal: string | null;
  /** Whether a core was written. */
  readonly coreDumped: boolean;
  /**
   * Set if the process has ended and its status is unknown: it ended before the subscription was acknowledged, or its
   * exit was lost, and
   * - `"gone"`: its parent has collected the status (Linux 6.15 and newer can report it even then);
   * - `"refused"`: its parent has not collected the status yet, and it is another user's;
   * - `"failed"`: the kernel could not be asked, as when no descriptor is left; or, before Linux 5.17, it shows the
   *   status of the main thread only.
   */
  readonly unknownBecause?: "gone" | "refused" | "failed";
}

/** How to wait for a process. */
export interface WaitForExitOptions {
  /** Aborts the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionChecks<WaitForExitOptions> = { signal: checkSignal };

/** A watch of one process that distinguishes its exit from those of its threads. */
export interface ExitWatch {
  /** The events of the process, as they come. */
  batches(): AsyncIterable<readonly ProcessEvent[]>;
  /** Ends the iteration after what is queued. */
  drain(): void;
  /** Ends it at once. */
  close(): void;
}

/**
 * The kernel makes a process's end known a moment before it sends the exit event, and the processor may be taken from it
 * in between. The event is waited for longer if the kernel cannot be asked for the status.
 */
const EVENT_GRACE_MS = 50;
const ONLY_EVENT_GRACE_MS = 500;

/**
 * Waits for the end of any process, not only of a child.
 *
 * It subscribes before it returns, so an exit that you cause after the call, as by `process.kill()`, is not missed. For a
 * process that has already ended and was not reaped yet it resolves at once.
 *
 * A process ends with its last thread, and its status is the one that its parent gets.
 *
 * @throws {ProcessGoneError} When there is no such process at the time of the call.
 * @throws {TypeError} When `pid` is no number, this process's own, or a thread's.
 * @throws {RangeError} When `pid` is no process id.
 * @throws {UnsupportedError} Where process events cannot be watched.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import process from "node:process";
 * import { waitForExit } from "kernel-connector";
 *
 * const child = spawn("/bin/sleep", ["60"]);
 * const status = waitForExit(child.pid!);
 * process.kill(child.pid!, "SIGTERM");
 * assert.deepEqual(await status, { exitCode: null, signal: "SIGTERM", coreDumped: false });
 * ```
 */
export async function waitForExit(pid: number, options: WaitForExitOptions = {}): Promise<ExitStatus> {
  checkPid(pid, "pid", "wait for an exit");
  checkOptions(options, OPTIONS, actionFor(pid));
  // Everything up to the subscription happens within the call: nothing may be awaited before.
  return await waitForExitOn(openSystem(actionFor(pid)), pid, options);
}

/** As {@linkcode waitForExit}, on a given machine. */
function waitForExitOn(
  system: System,
  pid: number,
  options: WaitForExitOptions = {},
): Promise<ExitStatus> {
  const { signal } = options;
  // The handle knows when the process has ended: a watch that ended with it would hide the kernel's last word.
  const open = (): ExitWatch =>
    openProcessWatch(system, { events: ["exec", "exit"], pids: [pid], pidReuse: true, signal });
  return waitWith(open, system, pid, options);
}

/** As {@linkcode waitForExit}, with a given watch. */
export async function waitWith(
  open: () => ExitWatch,
  system: HandleMachine,
  pid: number,
  options: WaitForExitOptions = {},
): Promise<ExitStatus> {
  options.signal?.throwIfAborted();
  const action = actionFor(pid);
  if (pid === system.libc.getpid()) throw new TypeError(`Cannot ${action}: that is this process`);
  const procFs = new ProcFs(system.libc);
  // Before the handle: some kernels give none to a thread.
  const owner = procFs.processOf(pid);
  if (owner !== undefined && owner !== pid) {
    throw new TypeError(`Cannot ${action}: that is a thread of process ${owner}`);
  }
  const handle = ProcessHandle.open(system, pid);
  if (handle === undefined) throw new ProcessGoneError(action, pid, "absent");
  try {
    return await endOf(open, procFs, handle, pid);
  } finally {
    handle.close();
  }
}

async function endOf(
  open: () => ExitWatch,
  procFs: ProcFs,
  handle: ProcessHandle,
  pid: number,
): Promise<ExitStatus> {
  const action = actionFor(pid);
  const stat = procFs.stat(pid);
  if (stat === undefined && handle.hasEnded() !== true) {
    if (procFs.missing !== "gone") throw new Error(`Cannot ${action}: /proc/${pid}/stat cannot be read`);
    if (handle.hasEnded() === undefined) throw new ProcessGoneError(action, pid, "absent");
    throw new Error(`Cannot ${action}: /proc hides it from this user (hidepid)`);
  }
  /** How it has ended; undefined while it is there. */
  const ended = (): number | ReadFailure | undefined => {
    if (handle.hasEnded() === false) return undefined;
    const status = handle.endStatus(stat?.startTimeTicks ?? -1);
    return status === "running" ? undefined : status;
  };
  const before = ended();
  if (before !== undefined) return statusOf(before);
  const watch = open();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expectEvent = (): void => {
    const graceMs = typeof ended() === "number" ? EVENT_GRACE_MS : ONLY_EVENT_GRACE_MS;
    timer ??= setTimeout(() => watch.drain(), graceMs);
  };
  try {
    const meanwhile = ended();
    if (typeof meanwhile === "number") return statusOf(meanwhile);
    if (meanwhile === undefined) handle.whenEnded(expectEvent);
    else expectEvent();
    for await (const batch of watch.batches()) {
      const exit = batch.find((event) => event.type === "exit" && event.pid === pid && !event.thread);
      if (exit !== undefined) return statusOf((exit as ExitEvent).status ?? "failed");
      // Its exit may be among the lost events.
      if (batch.some((event) => event.type === "lost") && ended() !== undefined) expectEvent();
    }
  } finally {
    clearTimeout(timer);
    watch.close();
  }
  return statusOf(ended() ?? "failed");
}

function actionFor(pid: number): string {
  return `wait for process ${pid}`;
}

function statusOf(end: number | ReadFailure): ExitStatus {
  if (typeof end !== "number") {
    return { exitCode: null, signal: null, coreDumped: false, unknownBecause: end };
  }
  const { exitCode, signal, coreDumped } = exitStatusFields(end);
  return { exitCode, signal, coreDumped };
}
