import { SyscallError } from "../errors/syscall_error.ts";
import type { ExitEvent, ProcessEvent } from "./event.ts";
import { exitStatusFields } from "./codec.ts";
import { type ProcFs } from "../procfs/process.ts";
import { hasEnded, type ProcStat } from "../procfs/text.ts";
import type { ProcessIdentity } from "./identity.ts";

/** What is remembered of a process with more threads than one, or whose main thread has ended before others. */
interface ThreadGroup {
  /** The live threads but for the main one. */
  readonly threads: Set<number>;
  /** When the main thread was known to have ended; undefined while it lives. */
  leaderEndedNs: bigint | undefined;
  /** The exit event of the main thread, once it was seen. */
  leaderExit: ExitEvent | undefined;
  /** The status of threads that a signal ended: the whole group has it. */
  fatal: number;
  /** The last status that was neither 0 nor a signal, and when. */
  failure: { readonly status: number; readonly ns: bigint } | undefined;
  /** The last exec: exits of earlier threads that come after it are not those of the new program. */
  execNs: bigint;
  /** Events may have been lost since the threads were last known for certain. */
  unconfirmed: boolean;
}

/**
 * A thread that is on its way out when another one calls exit_group(2) keeps its own status, and its event may come
 * last: joined threads do that. So an exit with 0 this soon after one with another status does not undo that.
 */
const RACE_NS = 1_000_000_000n;
const LIMIT = 4096;
/** The list of a process's threads ends early where one ends while it is read. */
const LIST_TRIES = 3;

/**
 * Distinguishes the exit of a process from those of its threads: a process ends with its last thread, which need not be the
 * main one, and not with a main thread whose number another thread takes over in an exec.
 *
 * It follows threads by their ids, so what is read from /proc may overlap with events that are still queued. It remembers
 * only processes with several threads; for all others an event costs one lookup in a map. It needs the forks and exits
 * of threads and all execs, each once and in order; after a loss it asks /proc.
 *
 * **The status** of a process is what its parent gets from waitpid(2): that of the exit_group(2) or of the signal which
 * ended it, else that of its last thread. Threads that are ended by the former have it as their own. Where a thread
 * ends by itself in the same moment, a signal wins over a code, and a code over 0. (Before kernel 5.17, a process all of
 * whose threads call the bare exit(2) has the status of the main one.)
 */
export class ThreadGroups {
  readonly #procFs: ProcFs;
  readonly #start: ProcessIdentity;
  readonly #groups = new Map<number, ThreadGroup>();
  /**
   * By thread, the groups of processes whose pids are in use again. The kernel lets a parent reap a process a moment
   * before it sends the last exits, and another process can get its pid and even end in between.
   */
  readonly #reaped = new Map<number, ThreadGroup>();
  #rereading = false;
  /** The number of groups at which those that have ended without an event are removed. */
  #limit = LIMIT;
  /** The batch that is applied, what comes after the event at hand, and what after the batch. */
  #batch: readonly ProcessEvent[] = [];
  #next = 0;
  #ahead: () => readonly ProcessEvent[] = () => [];

  /** Empty; see {@linkcode seed}. */
  constructor(procFs: ProcFs, start: ProcessIdentity) {
    this.#procFs = procFs;
    this.#start = start;
  }

  /** How many processes it remembers. */
  get size(): number {
    return this.#groups.size;
  }

  /**
   * Reads which processes have several threads: once after the subscription is acknowledged, and again after a loss. Events
   * that are queued meanwhile may be applied over it.
   *
   * Where /proc cannot be listed it stays {@linkcode wantsSeed}.
   *
   * @param pids The processes that matter; all where it is left out.
   */
  seed(pids?: Iterable<number>): void {
    this.#rereading = true;
    try {
      for (const pid of pids ?? this.#procFs.pids()) {
        const stat = this.#procFs.stat(pid);
        if (stat !== undefined) this.read(stat);
      }
      this.#rereading = false;
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
  }

  /** Forgets a process that has ended without an event. */
  forget(pid: number): void {
    this.#groups.delete(pid);
  }

  /** Whether events of threads may have been lost since the last {@linkcode seed}. */
  get wantsSeed(): boolean {
    return this.#rereading;
  }

  /** Adds what /proc shows of a process now. */
  read(stat: ProcStat): void {
    const leaderEnded = stat.state === "Z" || stat.state === "X";
    if (hasEnded(stat) || (stat.threadCount <= 1 && !leaderEnded)) return;
    const group = this.#group(stat.pid);
    if (leaderEnded) group.leaderEndedNs ??= this.#procFs.monotonicNs();
    this.#list(stat, group.threads);
  }

  /**
   * Applies events, and sets `thread` of every exit among them: false for the last of its process.
   *
   * @param whole Puts the exit of a process in the place of that of its last thread: with the status and the ids of the
   * process. Else events stay as the kernel sent them but for `thread`.
   * @param ahead Fetches what has been queued meanwhile and will be the next batch.
   */
  apply(batch: ProcessEvent[], whole: boolean, ahead: () => readonly ProcessEvent[] = () => []): void {
    this.#batch = batch;
    this.#ahead = ahead;
    for (let i = 0; i < batch.length; i++) {
      const event = batch[i]!;
      switch (event.type) {
        case "fork":
          if (this.#reaped.size > 0) this.#reaped.delete(event.tid);
          if (event.thread) this.#group(event.pid).threads.add(event.tid);
          else if (this.#groups.size > 0) this.#reuse(event.pid);
          break;
        case "exec":
          if (this.#groups.size > 0) this.#execed(event.pid, event.timestampNs);
          break;
        case "exit": {
          const reaped = this.#reaped.size > 0 ? this.#reaped.get(event.tid) : undefined;
          const group = reaped ?? this.#groups.get(event.pid);
          this.#next = i + 1;
          if (group !== undefined) batch[i] = this.#exited(group, event, whole);
          if (reaped !== undefined) this.#reaped.delete(event.tid);
          break;
        }
        case "lost":
          this.#rereading = true;
          this.#reaped.clear();
          for (const group of this.#groups.values()) group.unconfirmed = true;
      }
    }
  }

  /** Another process has this pid: exits of the threads that are left are still those of the process before it. */
  #reuse(pid: number): void {
    const group = this.#groups.get(pid);
    if (group === undefined) return;
    this.#groups.delete(pid);
    if (group.leaderEndedNs === undefined || group.unconfirmed) return;
    for (const tid of group.threads) this.#reaped.set(tid, group);
  }

  #group(pid: number): ThreadGroup {
    let group = this.#groups.get(pid);
    if (group === undefined && this.#groups.size >= this.#limit) this.#sweep();
    if (group === undefined) {
      group = {
        threads: new Set(),
        leaderEndedNs: undefined,
        leaderExit: undefined,
        fatal: 0,
        failure: undefined,
        execNs: 0n,
        unconfirmed: false,
      };
      this.#groups.set(pid, group);
    }
    return group;
  }

  /** All other threads are gone or about to be, and the one that called exec is the main one. */
  #execed(pid: number, ns: bigint): void {
    const group = this.#groups.get(pid);
    if (group === undefined) return;
    group.threads.clear();
    forgetEnds(group);
    group.unconfirmed = false;
    group.execNs = ns;
  }

  #exited(group: ThreadGroup, event: ExitEvent, whole: boolean): ExitEvent {
    const { pid, tid, timestampNs: ns } = event;
    const thread = event as { thread: boolean };
    thread.thread = true;
    if (ns < group.execNs) return event; // of a thread that the exec ended
    if (tid === pid) {
      // A main thread ends once; a second end is that of the next process with this pid, or of a thread which has become
      // the main one by an exec that was lost.
      if (group.leaderEndedNs !== undefined && ns > group.leaderEndedNs) {
        if (!group.unconfirmed && this.#hasEnded(group, event)) {
          this.#reuse(pid);
          thread.thread = false;
          return event;
        }
        forgetEnds(group);
        group.unconfirmed = true;
      }
      group.leaderEndedNs = ns;
      group.leaderExit = event;
    } else {
      group.threads.delete(tid);
    }
    note(group, event);
    if (!this.#isLast(group, event)) return event;
    if (this.#groups.get(pid) === group) this.#groups.delete(pid);
    if (!whole) {
      thread.thread = false;
      return event;
    }
    const leader = group.leaderExit;
    return {
      ...event,
      ...exitStatusFields(statusOf(group, event)),
      tid: pid,
      exitSignal: leader?.exitSignal ?? event.exitSignal,
      parentPid: leader?.parentPid ?? event.parentPid,
      parentTid: leader?.parentTid ?? event.parentTid,
      thread: false,
    };
  }

  /** Whether an exit, which has been taken in, is the last of its process. */
  #isLast(group: ThreadGroup, event: ExitEvent): boolean {
    if (group.leaderEndedNs !== undefined) {
      if (group.threads.size === 0) return true;
      return group.unconfirmed && this.#isOver(group, event);
    }
    // What a thread has left behind may yet be the status of its process.
    const isPlain = group.failure === undefined && group.fatal === 0 && group.execNs === 0n;
    if (group.threads.size === 0 && isPlain) this.#groups.delete(event.pid);
    return false;
  }

  /** Whether a process has ended, and none of its exits is still queued: for when events do not show it. */
  #isOver(group: ThreadGroup, event: ExitEvent): boolean {
    const { pid } = event;
    return !hasExit(group, pid, this.#batch, this.#next) && this.#hasEnded(group, event) &&
      !hasExit(group, pid, this.#ahead(), 0);
  }

  /** Whether /proc says that a process has ended; where it has not, its threads are those of /proc from now on. */
  #hasEnded(group: ThreadGroup, event: ExitEvent): boolean {
    const stat = this.#procFs.stat(event.pid);
    if (stat === undefined) return this.#procFs.missing === "gone";
    if (hasEnded(stat) || this.#start.ofStat(stat) > event.timestampNs) return true;
    group.threads.clear();
    if (stat.threadCount > 1) this.#list(stat, group.threads);
    if (stat.state !== "Z" && stat.state !== "X") forgetEnds(group); // it has become another program
    group.unconfirmed = false;
    return false;
  }

  #sweep(): void {
    for (const pid of this.#groups.keys()) {
      const stat = this.#procFs.stat(pid);
      if (stat === undefined ? this.#procFs.missing === "gone" : hasEnded(stat)) this.#groups.delete(pid);
    }
    this.#limit = Math.max(LIMIT, 2 * this.#groups.size);
  }

  /** Adds the threads that a process has but for the main one. */
  #list(stat: ProcStat, threads: Set<number>): void {
    for (let tries = 0; tries < LIST_TRIES; tries++) {
      const tids = this.#procFs.tids(stat.pid);
      for (const tid of tids) if (tid !== stat.pid) threads.add(tid);
      if (tids.length >= stat.threadCount) return;
    }
  }
}

/** Notes what the exit of a thread says of the status of its process. */
function note(group: ThreadGroup, { status, timestampNs }: ExitEvent): void {
  if (status === null) return;
  // Only the thread that dumped core has that bit.
  if ((status & 0x7f) !== 0) group.fatal |= status;
  else if (status !== 0) group.failure = { status, ns: timestampNs };
}

/** Whether there is an exit of the group among events. */
function hasExit(group: ThreadGroup, pid: number, events: readonly ProcessEvent[], from: number): boolean {
  for (let i = from; i < events.length; i++) {
    const event = events[i]!;
    if (event.type === "exit" && event.pid === pid && group.threads.has(event.tid)) return true;
  }
  return false;
}

/** The status of a process whose last exit this is. */
function statusOf({ fatal, failure }: ThreadGroup, { status, timestampNs }: ExitEvent): number | null {
  if (fatal !== 0) return fatal;
  if (status === 0 && failure !== undefined && timestampNs - failure.ns < RACE_NS) return failure.status;
  return status;
}

function forgetEnds(group: ThreadGroup): void {
  group.leaderEndedNs = undefined;
  group.leaderExit = undefined;
  group.fatal = 0;
  group.failure = undefined;
}
