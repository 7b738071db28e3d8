import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { checkOptions, checkPid, checkSignal, type OptionChecks } from "../errors/arguments.ts";
import type { ProcessEvent } from "./event.ts";
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

/** How to wait for processes. */
export interface WaitOptions {
  /** Aborts the wait: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionChecks<WaitOptions> = { signal: checkSignal };

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
 * Waits for the end of any process, not only of a child; or of several, with one subscription.
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
export function waitForExit(pid: number, options?: WaitOptions): Promise<ExitStatus>;
/**
 * Of several processes each has a promise of its own, in the order of `pids`: `Promise.all()` waits for all of them,
 * `Promise.race()` for the first. One that rejects does not concern the others, and may be left unused: it never causes an
 * unhandled rejection. Those that are left wait until the signal is aborted.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { waitForExit } from "kernel-connector";
 *
 * const children = [3, 4].map((code) => spawn("/bin/sh", ["-c", `read line; exit ${code}`]));
 * const statuses = waitForExit(children.map(({ pid }) => pid!));
 * for (const { stdin } of children) stdin.end();
 * assert.deepEqual((await Promise.all(statuses)).map(({ exitCode }) => exitCode), [3, 4]);
 * ```
 */
export function waitForExit(pids: readonly number[], options?: WaitOptions): Promise<ExitStatus>[];
export function waitForExit(
  pids: number | readonly number[],
  options: WaitOptions = {},
): Promise<ExitStatus> | Promise<ExitStatus>[] {
  if (!Array.isArray(pids)) return waitForOne(pids as number, options);
  try {
    checkOptions(options, OPTIONS, ACTION);
    return waitOn(openSystem(ACTION), pids, options);
  } catch (error) {
    return pids.map(() => unnoticed(Promise.reject(error)));
  }
}

async function waitForOne(pid: number, options: WaitOptions): Promise<ExitStatus> {
  checkPid(pid, "pid", "wait for an exit");
  checkOptions(options, OPTIONS, actionFor(pid));
  // Everything up to the subscription happens within the call: nothing may be awaited before.
  return await waitOn(openSystem(actionFor(pid)), [pid], options)[0]!;
}

/** As {@linkcode waitForExit}, on a given machine. */
function waitOn(
  system: System,
  pids: readonly number[],
  options: WaitOptions,
): Promise<ExitStatus>[] {
  const { signal } = options;
  // The handles know when the processes have ended: a watch that ended with them would hide the kernel's last word.
  const open = (pids: readonly number[]): ExitWatch =>
    openProcessWatch(system, { events: ["exec", "exit"], pids, pidReuse: true, signal });
  return waitWith(open, system, pids, options);
}

/** As {@linkcode waitForExit}, with given watches. */
export function waitWith(
  open: (pids: readonly number[]) => ExitWatch,
  system: HandleMachine,
  pids: readonly number[],
  { signal }: WaitOptions = {},
): Promise<ExitStatus>[] {
  const procFs = new ProcFs(system.libc);
  const all = new Map<number, AwaitedProcess>();
  const running = new Map<number, AwaitedProcess>();
  for (const pid of pids) {
    if (all.has(pid)) continue;
    const its = new AwaitedProcess(pid);
    all.set(pid, its);
    try {
      signal?.throwIfAborted();
      its.hold(system, procFs);
      const end = its.end();
      if (end === undefined) running.set(pid, its);
      else its.settle(end);
    } catch (error) {
      its.fail(error);
    }
  }
  if (running.size > 0) void follow(open, running);
  return pids.map((pid) => all.get(pid)!.status);
}

/** A promise whose rejection nobody has to notice. */
function unnoticed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** A process whose end somebody waits for. */
class AwaitedProcess {
  readonly #pid: number;
  readonly #outcome = Promise.withResolvers<ExitStatus>();
  #handle: ProcessHandle | undefined;
  #startTimeTicks = -1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What its promise resolves to. */
  readonly status: Promise<ExitStatus> = unnoticed(this.#outcome.promise);

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Takes hold of it. */
  hold(system: HandleMachine, procFs: ProcFs): void {
    const pid = this.#pid;
    checkPid(pid, "pid", "wait for an exit");
    const action = actionFor(pid);
    if (pid === system.libc.getpid()) throw new TypeError(`Cannot ${action}: that is this process`);
    // Before the handle: some kernels give none to a thread.
    const owner = procFs.processOf(pid);
    if (owner !== undefined && owner !== pid) {
      throw new TypeError(`Cannot ${action}: that is a thread of process ${owner}`);
    }
    const handle = this.#handle = ProcessHandle.open(system, pid);
    if (handle === undefined) throw new ProcessGoneError(action, pid, "absent");
    const stat = procFs.stat(pid);
    if (stat !== undefined) {
      this.#startTimeTicks = stat.startTimeTicks;
    } else if (handle.hasEnded() !== true) {
      if (procFs.missing !== "gone") throw new Error(`Cannot ${action}: /proc/${pid}/stat cannot be read`);
      if (handle.hasEnded() === undefined) throw new ProcessGoneError(action, pid, "absent");
      throw new Error(`Cannot ${action}: /proc hides it from this user (hidepid)`);
    }
  }

  /** How it has ended, as far as the kernel says without an event; undefined while it is there. */
  end(): number | ReadFailure | undefined {
    const handle = this.#handle!;
    if (handle.hasEnded() === false) return undefined;
    const status = handle.endStatus(this.#startTimeTicks);
    return status === "running" ? undefined : status;
  }

  /** Calls `onOverdue` once it has ended and its event has not come in time. */
  expectEvent(onOverdue: (its: AwaitedProcess) => void): void {
    const onEnd = (): void => {
      const graceMs = typeof this.end() === "number" ? EVENT_GRACE_MS : ONLY_EVENT_GRACE_MS;
      this.#timer ??= setTimeout(() => onOverdue(this), graceMs);
    };
    if (this.end() === undefined) this.#handle!.whenEnded(onEnd);
    else onEnd();
  }

  /** Resolves the promise. */
  settle(end: number | ReadFailure): void {
    this.#letGo();
    this.#outcome.resolve(statusOf(end));
  }

  /** Rejects it. */
  fail(error: unknown): void {
    this.#letGo();
    this.#outcome.reject(error);
  }

  #letGo(): void {
    clearTimeout(this.#timer);
    this.#handle?.close();
  }
}

/** Follows running processes until the last of them has ended. */
async function follow(
  open: (pids: readonly number[]) => ExitWatch,
  running: Map<number, AwaitedProcess>,
): Promise<void> {
  let watch: ExitWatch | undefined;
  let next: ExitWatch | undefined;
  /** Those whose events have not come in time; and those that the watch is drained for. */
  let overdue: AwaitedProcess[] = [];
  let drainedFor: AwaitedProcess[] = [];
  const release = (): void => {
    watch?.close();
    next?.close();
  };
  const settle = (pid: number, end: number | ReadFailure): void => {
    const its = running.get(pid);
    running.delete(pid);
    if (running.size === 0) release(); // before anybody learns of it
    its?.settle(end);
  };
  const fail = (error: unknown): void => {
    release();
    for (const its of running.values()) its.fail(error);
    running.clear();
  };
  /** An event may still be queued: the watch hands out all that it has. The others need another one from then on. */
  const drain = (): void => {
    [drainedFor, overdue] = [overdue, []];
    try {
      if (running.size > drainedFor.length) next = open([...running.keys()]);
    } catch (error) {
      fail(error);
    }
    watch!.drain();
  };
  const onOverdue = (its: AwaitedProcess): void => {
    overdue.push(its);
    if (drainedFor.length === 0) drain();
  };
  try {
    watch = open([...running.keys()]);
    for (const [pid, its] of running) {
      const end = its.end();
      if (typeof end === "number") settle(pid, end);
      else its.expectEvent(onOverdue);
    }
    while (running.size > 0) {
      for await (const batch of watch.batches()) {
        for (const event of batch) {
          if (event.type === "exit" && !event.thread) settle(event.pid, event.status ?? "failed");
          // Their exits may be among the lost events.
          if (event.type === "lost") { for (const its of running.values()) its.expectEvent(onOverdue); }
        }
      }
      for (const [pid, its] of running) {
        if (next === undefined || drainedFor.includes(its)) settle(pid, its.end() ?? "failed");
      }
      drainedFor = [];
      watch.close();
      [watch, next] = [next ?? watch, undefined];
      if (overdue.length > 0) drain();
    }
  } catch (error) {
    fail(error);
  }
}

const ACTION = "wait for processes";

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
