import type { Machine } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import { checkOptions, checkPid, checkSignal, type OptionChecks } from "../errors/arguments.ts";
import type { ExitEvent, ProcEvent, ProcEventKind } from "../protocols/proc/event.ts";
import { ProcessGoneError } from "./gone_error.ts";
import { hasEnded, ProcFs, type ProcStat } from "./proc_fs.ts";
import { openProcessWatch } from "./watch.ts";

/** How a process ended. */
export interface ExitStatus {
  /** The exit code, or null where a signal ended it. */
  readonly exitCode: number | null;
  /**
   * The name of the signal that ended it (`"SIGKILL"`), or null. Both are null where the process is known to have ended
   * and nothing more, since the kernel's event was lost.
   */
  readonly signal: string | null;
  /** Whether a core was really written. */
  readonly coreDumped: boolean;
}

/** How to wait for a process. */
export interface WaitForExitOptions {
  /** Ends the waiting: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS: OptionChecks<WaitForExitOptions> = { signal: checkSignal };

/** What it takes to wait: a watch of one process. */
export interface ExitWatch {
  /** The events of the process, as they come. */
  batches(): AsyncIterable<readonly ProcEvent[]>;
  /** Ends the iteration. */
  close(): void;
}

/** Threads come and go, and an exec ends them all: what it takes to tell the last exit of a process. */
const EVENTS: readonly ProcEventKind[] = ["fork", "exec", "exit"];
/** How long an event may take that the kernel has sent, or is about to. */
const GRACE_MS = 50;

/**
 * Waits for the end of any process, not only of a child.
 *
 * A process ends with its last thread; where the main one ended before, the status is that of the last, as the parent
 * gets it from a program that ends by `exit`.
 *
 * @throws {ProcessGoneError} When the process is gone, or has ended and is waited for by its parent only.
 * @throws {TypeError} When `pid` is no process id, this process's own, or a thread's.
 * @throws {UnsupportedError} Where process events cannot be watched.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { waitForExit } from "kernel-connector";
 *
 * const child = spawn("/bin/sh", ["-c", "read line; exit 3"]);
 * const status = waitForExit(child.pid!);
 * child.stdin.end();
 * assert.deepEqual(await status, { exitCode: 3, signal: null, coreDumped: false });
 * ```
 */
export async function waitForExit(pid: number, options: WaitForExitOptions = {}): Promise<ExitStatus> {
  checkPid(pid, "pid", "wait for an exit");
  checkOptions(options, OPTIONS, actionFor(pid));
  return waitForExitOn(await openMachine(actionFor(pid)), pid, options);
}

/** As {@linkcode waitForExit}, on a given machine. */
export function waitForExitOn(
  machine: Machine,
  pid: number,
  options: WaitForExitOptions = {},
): Promise<ExitStatus> {
  const { signal } = options;
  const open = (): ExitWatch =>
    openProcessWatch(machine, { events: EVENTS, pids: [pid], pidReuse: true, signal });
  return waitWith(open, new ProcFs(machine.libc), pid, machine.libc.getpid(), options);
}

/** As {@linkcode waitForExit}, with a given watch; `ownPid` is this process. */
export async function waitWith(
  open: () => ExitWatch,
  procFs: ProcFs,
  pid: number,
  ownPid: number,
  options: WaitForExitOptions = {},
): Promise<ExitStatus> {
  options.signal?.throwIfAborted();
  const action = actionFor(pid);
  if (!(Number.isInteger(pid) && pid > 0 && pid < 2 ** 31)) {
    throw new TypeError(`Cannot ${action}: that is no process id`);
  }
  if (pid === ownPid) throw new TypeError(`Cannot ${action}: that is this process`);
  // What is gone before anybody could watch it is an error at once.
  const first = look(procFs, pid, action);
  const process = procFs.processOf(pid);
  if (process !== undefined && process !== pid) {
    throw new TypeError(`Cannot ${action}: that is a thread of process ${process}`);
  }
  const watch = open();
  try {
    return await new Waiting(watch, procFs, first).ended(action);
  } finally {
    watch.close();
  }
}

/** One process and its threads, until the last is gone. */
class Waiting {
  readonly #watch: ExitWatch;
  readonly #procFs: ProcFs;
  readonly #pid: number;
  readonly #startTimeTicks: number;
  /** When its threads were counted: earlier events are in the number. */
  #countedNs: bigint;
  /** Threads but for the main one. */
  #threads: number;
  #hadThreads: boolean;
  #leaderGone: boolean;
  #last: ExitEvent | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(watch: ExitWatch, procFs: ProcFs, first: ProcStat) {
    this.#watch = watch;
    this.#procFs = procFs;
    this.#pid = first.pid;
    this.#startTimeTicks = first.startTimeTicks;
    const stat = procFs.stat(first.pid);
    this.#countedNs = procFs.monotonicNs();
    this.#threads = (stat ?? first).threadCount - 1;
    this.#hadThreads = this.#threads > 0;
    this.#leaderGone = first.state === "Z";
  }

  async ended(action: string): Promise<ExitStatus> {
    // It may have ended since the first look, before the subscription or after.
    const endedBefore = !this.#isThere();
    if (endedBefore) this.#closeSoon();
    let lost = false;
    try {
      for await (const batch of this.#watch.batches()) {
        let lostHere = false;
        for (const event of batch) {
          if (event.type === "lost") lostHere = true;
          else if (this.#isLast(event)) return statusOf(event as ExitEvent);
        }
        lost ||= lostHere;
        // Its exit may be among the lost events, or its last thread's was counted twice.
        if ((lostHere || this.#leaderGone) && !this.#isThere()) this.#closeSoon();
      }
    } finally {
      clearTimeout(this.#timer);
    }
    if (this.#last !== undefined) return statusOf(this.#last);
    if (endedBefore && !lost) throw new ProcessGoneError(action, this.#pid, "just-ended");
    return { exitCode: null, signal: null, coreDumped: false };
  }

  /** Takes an event in, and answers whether it is the exit of the process's last thread. */
  #isLast(event: ProcEvent): boolean {
    if (event.type === "fork" && event.thread && event.childPid === this.#pid) {
      if (event.timestampNs > this.#countedNs) this.#threads++;
      this.#hadThreads = true;
    } else if (event.type === "exec" && event.pid === this.#pid) {
      this.#threads = 0;
      this.#hadThreads = false;
      this.#leaderGone = false;
      this.#last = undefined;
    } else if (event.type === "exit" && event.pid === this.#pid) {
      if (event.tid === event.pid) this.#leaderGone = true;
      else if (event.timestampNs > this.#countedNs) this.#threads--;
      // Before the main thread's end, the end of others means nothing.
      if (!this.#leaderGone) return false;
      this.#last = event;
      return this.#threads <= 0 && !(this.#hadThreads && this.#hasOthers());
    }
    return false;
  }

  /** Whether the process is there and not only its remains. */
  #isThere(): boolean {
    const stat = this.#procFs.stat(this.#pid);
    if (stat === undefined) return this.#procFs.missing !== "gone";
    return stat.startTimeTicks === this.#startTimeTicks && !hasEnded(stat);
  }

  /** Counts the threads again: one that ended while they were counted may be missing in their number. */
  #hasOthers(): boolean {
    const stat = this.#procFs.stat(this.#pid);
    if (stat === undefined || stat.startTimeTicks !== this.#startTimeTicks || hasEnded(stat)) return false;
    this.#threads = stat.threadCount - 1;
    this.#countedNs = this.#procFs.monotonicNs();
    return true;
  }

  /** What the kernel has to say of a process that has ended is queued already, or will be in a moment. */
  #closeSoon(): void {
    this.#timer ??= setTimeout(() => this.#watch.close(), GRACE_MS);
  }
}

/** The process as it is; throws where it is gone. */
function look(procFs: ProcFs, pid: number, action: string): ProcStat {
  const stat = procFs.stat(pid);
  if (stat === undefined) {
    if (procFs.missing === "gone") throw new ProcessGoneError(action, pid, "absent");
    throw new Error(`Cannot ${action}: /proc/${pid}/stat cannot be read`);
  }
  if (hasEnded(stat)) throw new ProcessGoneError(action, pid, "zombie");
  return stat;
}

function actionFor(pid: number): string {
  return `wait for process ${pid}`;
}

function statusOf({ exitCode, signal, coreDumped }: ExitEvent): ExitStatus {
  return { exitCode, signal, coreDumped };
}
