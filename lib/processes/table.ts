import type { Libc } from "../../ffi/libc.ts";
import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent, UidEvent } from "./event.ts";
import { emptyInfo, type MutableInfo, type ProcessInfo, type ProcessInfoOptions } from "./info.ts";
import { ProcFs } from "../procfs/process.ts";
import { hasEnded } from "../procfs/text.ts";
import { ProcessIdentity, SAME_START_NS } from "./identity.ts";
import { KernelThreadNames } from "./kernel_thread_names.ts";
import { completeParents, setParent } from "./parents.ts";
import { ProgramReads } from "./program_reads.ts";
import { ThreadGroups } from "./thread_group.ts";

/** What a table reads, and when. */
export interface TableOptions extends ProcessInfoOptions {
  /** Read the control group at forks and exits as well: no event reports that a process was moved to another. */
  readonly followCgroup?: boolean;
}

/** A process in the table. */
export interface TableEntry {
  info: ProcessInfo;
  /** A thread has other user ids than the main thread: if it execs, they become those of the process. */
  userUnconfirmed: boolean;
  /** See {@linkcode ProcStat.stackStart}; 0 if unknown. */
  stackStart: number;
  /** When its program was read from /proc after an exec; undefined otherwise. */
  readNs?: bigint;
  /** Whether readers know of it: from a fork, real or synthetic, or because it existed at the start. */
  announced: boolean;
}

/** How often to look again for a process that was not found when its event arrived. */
const CHECK_NS = 1_000_000_000n;

/**
 * The live processes: filled from /proc once and then updated by events, so that an exit still has the command line of
 * its process. Only an exec costs a read of /proc.
 *
 * - A fork gives the child what its parent has.
 * - {@linkcode ProgramReads} finds out what an exec has started. If the kernel has no record of it, only the last of
 *   several execs of a process in one batch is read from /proc; a process that ends or execs again too soon is unknown.
 * - A process leaves the table with the exit of its last thread: {@linkcode ProcessTable.groups} knows which that is.
 */
export class ProcessTable {
  readonly #procFs: ProcFs;
  readonly #followsCgroup: boolean;
  readonly #mostParents: number;
  readonly #isRelevant: (pid: number) => boolean;
  readonly #entries = new Map<number, TableEntry>();
  readonly #start: ProcessIdentity;
  /** What finds out which program each process runs. */
  readonly programs: ProgramReads;
  /** Which processes have several threads. Gets every batch before the table: it sets `thread` of exits. */
  readonly groups: ThreadGroups;
  /** Processes that were not found when their events arrived, and when to look again: their exits may never come. */
  readonly #unconfirmed = new Map<number, bigint>();
  readonly #kernelThreads: KernelThreadNames;

  /**
   * An empty table; see {@linkcode seed}.
   *
   * @param isRelevant Whether the program and the user of a process matter. Others are kept only for their descent:
   * nothing is read when they exec. The answer must stay the same for as long as a process lives.
   */
  constructor(
    libc: Libc,
    options: TableOptions = {},
    isRelevant: (pid: number) => boolean = () => true,
  ) {
    this.#procFs = new ProcFs(libc, options);
    this.#followsCgroup = options.followCgroup ?? false;
    this.#mostParents = options.parents ?? 0;
    this.#isRelevant = isRelevant;
    this.#start = new ProcessIdentity(this.#procFs);
    this.programs = new ProgramReads(libc, this.#procFs, this.#start, options, this.#entries, isRelevant);
    this.groups = new ThreadGroups(this.#procFs, this.#start);
    this.#kernelThreads = new KernelThreadNames(this.#procFs, this.#entries);
  }

  /** How many processes it holds. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether the program and the user of a process matter. */
  isRelevant(pid: number): boolean {
    return this.#isRelevant(pid);
  }

  /** Distinguishes processes that have had the same pid. */
  get start(): ProcessIdentity {
    return this.#start;
  }

  /** The reader of /proc. */
  get procFs(): ProcFs {
    return this.#procFs;
  }

  /** What is known of a process now. */
  get(pid: number): ProcessInfo | undefined {
    return this.#entries.get(pid)?.info;
  }

  /** Every live process, in no order. */
  *values(): IterableIterator<ProcessInfo> {
    for (const entry of this.#entries.values()) yield entry.info;
  }

  /**
   * Reads every process. To be called once the subscription is acknowledged: events that are queued meanwhile can be
   * applied afterwards.
   *
   * @throws {SyscallError} When /proc cannot be listed.
   */
  seed(): void {
    for (const pid of this.#procFs.pids()) {
      if (!this.#entries.has(pid)) this.readProcess(pid, true);
    }
    // Most parents have a smaller number and were read before, not all.
    completeParents(this.#entries, this.#mostParents);
  }

  /** The processes by pid; the resync reads and changes them. */
  get entries(): ReadonlyMap<number, TableEntry> {
    return this.#entries;
  }

  /**
   * Applies events, and gives each its `process`. To be called with each batch as soon as it is received: a process can
   * be read only while it lives.
   */
  apply(batch: readonly ProcessEvent[]): void {
    this.programs.begin(batch);
    this.#start.measureAgain();
    let lastNs = 0n;
    for (let i = 0; i < batch.length; i++) {
      const event = batch[i]!;
      lastNs = event.timestampNs;
      if (event.type === "lost") this.programs.lose(event.timestampNs);
      if (event.type === "lost" || event.type === "unknown") continue;
      if ((event as { synthetic?: true }).synthetic === true) continue; // made from this table
      const info = this.#applyEvent(event, i) ?? emptyInfo(event.pid, "gone");
      (event as { process?: ProcessInfo }).process = info;
    }
    if (this.#unconfirmed.size > 0) this.#checkUnconfirmed(lastNs);
    this.#kernelThreads.nameAll(lastNs);
  }

  /**
   * Puts a process into the table as /proc has it; undefined if it is gone.
   *
   * @param announced Whether readers know of it.
   */
  readProcess(pid: number, announced: boolean): ProcessInfo | undefined {
    this.programs.count++;
    const stat = this.#procFs.stat(pid);
    if (stat === undefined || hasEnded(stat)) return undefined;
    this.groups.read(stat);
    const info = emptyInfo(pid, undefined);
    setParent(this.#entries, info, stat.parentPid, this.#mostParents);
    info.startTimeTicks = stat.startTimeTicks;
    info.startNs = this.#start.ofStat(stat);
    info.startFrom = "proc";
    info.comm = stat.comm;
    info.session = stat.session;
    info.kernelThread = stat.kernelThread;
    if (this.#isRelevant(pid)) {
      this.programs.readFound(info, stat);
    } else {
      info.unknownBecause = "unasked";
    }
    this.#entries.set(pid, { info, userUnconfirmed: false, stackStart: stat.stackStart, announced });
    return info;
  }

  /** Reads again what a process is, whose exec was not seen. */
  readAgain(entry: TableEntry): ProcessInfo {
    entry.info = { ...entry.info };
    entry.userUnconfirmed = true;
    this.programs.readNow(entry, this.#procFs.monotonicNs(), false);
    return entry.info;
  }

  /** Reads the user ids again: their events may have been lost. */
  readUserAgain(entry: TableEntry): void {
    const { uid, effectiveUid } = entry.info;
    const info: MutableInfo = { ...entry.info };
    this.programs.readUser(info);
    if (info.uid !== uid || info.effectiveUid !== effectiveUid) entry.info = info;
  }

  /** Takes a process out of the table. */
  remove(pid: number): void {
    this.#entries.delete(pid);
    this.#unconfirmed.delete(pid);
    this.groups.forget(pid);
  }

  #applyEvent(
    event: Exclude<ProcessEvent, { type: "lost" | "unknown" }>,
    index: number,
  ): ProcessInfo | undefined {
    switch (event.type) {
      case "fork": {
        if (event.thread) return this.#known(event.pid, event.tid)?.info;
        const info = this.#forked(event, index);
        return this.#followsCgroup ? this.#withCgroup(event.pid, event.timestampNs, event.parentPid) : info;
      }
      case "exec":
        return this.#execed(event, index);
      case "exit":
        if (this.#followsCgroup && !event.thread) this.#withCgroup(event.pid, event.timestampNs);
        return this.#exited(event);
      case "comm": {
        const entry = this.#known(event.pid, event.tid);
        // Other threads have names of their own.
        if (entry === undefined || event.tid !== event.pid) return entry?.info;
        return entry.info = { ...entry.info, comm: event.comm };
      }
      case "uid":
        return this.#userChanged(event);
      case "sid": {
        const entry = this.#known(event.pid, event.tid);
        if (entry === undefined) return undefined;
        const info: MutableInfo = { ...entry.info, session: event.pid };
        if (info.terminal !== undefined) info.terminal = null; // a new session has none
        return entry.info = info;
      }
      case "ptrace": {
        const entry = this.#known(event.pid, event.tid);
        // It is the tracer's event as well.
        const asked = !this.#isRelevant(event.pid) && this.#isRelevant(event.tracerPid);
        if (entry !== undefined && asked) this.readAgain(entry);
        return entry?.info;
      }
      default:
        return this.#known(event.pid, event.tid)?.info;
    }
  }

  #forked(event: ForkEvent, index: number): ProcessInfo {
    const pid = event.pid;
    const existing = this.#entries.get(pid);
    if (existing !== undefined && this.#start.isFork(existing.info, event.timestampNs)) {
      // Read from /proc before its event came: the event knows better when and by whom.
      const info: MutableInfo = { ...existing.info, startNs: event.timestampNs, startFrom: "fork" };
      setParent(this.#entries, info, event.parentPid, this.#mostParents);
      existing.announced = true;
      return existing.info = info;
    }
    const parent = this.#entries.get(event.parentPid) ?? this.#readUnknown(event.parentPid);
    const info: MutableInfo = parent === undefined ? emptyInfo(pid, "gone") : { ...parent.info };
    info.pid = pid;
    setParent(this.#entries, info, event.parentPid, this.#mostParents);
    info.startNs = event.timestampNs;
    info.startFrom = "fork";
    info.startTimeTicks = undefined;
    if (info.kernelThread) info.comm = undefined;
    // The child of a thread has that thread's name and ids, and those are known of main threads only.
    const ofThread = event.parentTid !== event.parentPid && !info.kernelThread;
    if (ofThread) info.comm = undefined;
    const userUnconfirmed = ofThread || parent?.userUnconfirmed === true;
    if (parent?.userUnconfirmed === true) info.uid = info.effectiveUid = undefined;
    const entry: TableEntry = {
      info,
      userUnconfirmed,
      stackStart: parent === undefined ? 0 : parent.stackStart,
      announced: true,
    };
    this.#entries.set(pid, entry);
    this.#unconfirmed.delete(pid);
    if (info.kernelThread) this.#kernelThreads.add(entry, event.timestampNs);
    // What its parent was is not known, but the child may still be that.
    const { unknownBecause } = info;
    const unknown = unknownBecause === "superseded" || unknownBecause === "gone" ||
      unknownBecause === "unasked" ||
      (info.comm === undefined && !info.kernelThread && !ofThread);
    // A fork is also its parent's event, and shows the child.
    const isShown = this.#isRelevant(pid) || this.#isRelevant(event.parentPid);
    if (isShown) this.programs.readFork(entry, event, index, unknown);
    return entry.info;
  }

  #execed(event: ExecEvent, index: number): ProcessInfo {
    const { pid } = event;
    const before = this.#entries.get(pid) ?? this.#readUnknown(pid) ?? this.#goneEntry(pid);
    const info: MutableInfo = { ...before.info };
    const entry: TableEntry = {
      info,
      userUnconfirmed: before.userUnconfirmed,
      stackStart: 0,
      announced: before.announced,
    };
    this.#entries.set(pid, entry);
    info.kernelThread = false; // a kernel thread that execs, as those that start helpers do, is none any more
    this.programs.readExec(entry, before, event, index);
    return entry.info;
  }

  #exited(event: ExitEvent): ProcessInfo | undefined {
    const { pid } = event;
    const entry = this.#entries.get(pid) ?? this.#readUnknown(pid);
    if (entry === undefined) return undefined;
    const { info } = entry;
    // An event from before the table was filled, of an earlier process with this number.
    if (info.startNs !== undefined && event.timestampNs < info.startNs - SAME_START_NS) return undefined;
    if (!event.thread) this.remove(pid);
    return info;
  }

  #userChanged(event: UidEvent): ProcessInfo | undefined {
    const entry = this.#known(event.pid, event.tid);
    if (entry === undefined) return undefined;
    const { realUid: uid, effectiveUid } = event;
    if (entry.info.uid === uid && entry.info.effectiveUid === effectiveUid) return entry.info;
    if (event.tid !== event.pid) {
      entry.userUnconfirmed = true;
      return entry.info;
    }
    return entry.info = { ...entry.info, uid, effectiveUid };
  }

  /** The entry of an event's process, read from /proc where the table has none. */
  #known(pid: number, tid: number): TableEntry | undefined {
    const entry = this.#entries.get(pid) ?? this.#readUnknown(pid);
    // A thread's late event must not bring a process back; the exit of a main thread will take it away again.
    if (entry !== undefined || tid !== pid) return entry;
    const gone = this.#goneEntry(pid);
    this.#entries.set(pid, gone);
    return gone;
  }

  /** What is there to say of a process that ended before anything was read. */
  #goneEntry(pid: number): TableEntry {
    const info = emptyInfo(pid, "gone");
    // Its exit must come before this moment, or was lost.
    this.#unconfirmed.set(pid, this.#procFs.monotonicNs());
    return {
      info,
      userUnconfirmed: false,
      stackStart: 0,
      announced: false,
    };
  }

  #readUnknown(pid: number): TableEntry | undefined {
    if (pid === 0) return undefined;
    return this.readProcess(pid, false) === undefined ? undefined : this.#entries.get(pid);
  }

  /**
   * The process with the control group that it is in now. Only where somebody chooses by that. A child that is gone before it
   * can be read was in the group of its parent.
   */
  #withCgroup(pid: number, eventNs: bigint, parentPid?: number): ProcessInfo | undefined {
    const entry = this.#entries.get(pid);
    if (entry === undefined || !this.#isRelevant(pid)) return entry?.info;
    const cgroup = this.#procFs.cgroup(pid);
    if (cgroup === undefined && parentPid !== undefined) {
      const parent = this.#withCgroup(parentPid, eventNs);
      if (parent !== undefined) entry.info = { ...entry.info, cgroup: parent.cgroup };
      return entry.info;
    }
    if (cgroup === undefined || cgroup === entry.info.cgroup) return entry.info;
    const stat = this.#procFs.stat(pid);
    const isIts = stat !== undefined && this.#start.isOfEvent(stat, entry.info, eventNs);
    return isIts ? entry.info = { ...entry.info, cgroup } : entry.info;
  }

  /** Removes processes that have ended without an event. */
  #checkUnconfirmed(nowNs: bigint): void {
    for (const [pid, atNs] of this.#unconfirmed) {
      if (atNs >= nowNs) continue;
      const stat = this.#procFs.stat(pid);
      if (stat === undefined ? this.#procFs.missing === "gone" : hasEnded(stat)) {
        this.remove(pid); // neither its start nor its end was received
      } else this.#unconfirmed.set(pid, nowNs + CHECK_NS);
    }
  }
}
