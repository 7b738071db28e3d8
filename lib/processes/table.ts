import type { Libc } from "../../ffi/libc.ts";
import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent, UidEvent } from "./event.ts";
import { emptyInfo, forgetProgram, type MutableInfo, type ProcessField, type ProcessInfo } from "./info.ts";
import { BatchIndex } from "./batch_index.ts";
import { ProcFs } from "../procfs/process.ts";
import { hasEnded } from "../procfs/text.ts";
import { ProcessIdentity, SAME_START_NS } from "./identity.ts";
import { CommandLines } from "./command_lines.ts";
import { Enricher } from "./enricher.ts";
import type { ExecRecord } from "./exec_record.ts";
import { ThreadGroups } from "./thread_group.ts";

/** What a table reads of each process. */
export interface ProcessInfoOptions {
  /** The fields that are read from /proc. Default all; what the events tell is known anyway. */
  readonly fields?: readonly ProcessField[] | undefined;
  /** Bytes of a command line beyond which it is cut. Default 4096, at most 2097152. */
  readonly commandLineBytes?: number;
  /**
   * Whether the kernel is asked to record the arguments of every exec, so that also those of a program are known that
   * was gone at once. It takes root, or CAP_BPF and CAP_PERFMON, and a kernel of 5.5 or newer with BTF. `"auto"`, the
   * default: where that is there, a moment after the start; /proc is read until then, and where it is not. `"off"`: /proc
   * alone. `"required"`: from the first event on, or the watch is not opened.
   */
  readonly execRecords?: "auto" | "off" | "required" | undefined;
}

/** What a table reads, and when. */
export interface TableOptions extends ProcessInfoOptions {
  /** Read the control group at forks and exits, too: somebody chooses by it, and no event tells that one was moved. */
  readonly followCgroup?: boolean;
}

/** A process in the table, with what the table itself must remember of it. */
export interface TableEntry {
  info: ProcessInfo;
  /** A thread has other user ids than the main one: if it execs, its ids become those of the process. */
  userUnconfirmed: boolean;
  /** See {@linkcode ProcStat.stackStart}. 0 where it is not known. */
  stackStart: number;
  /** Whether the stream has said that it exists: by a fork, real or synthetic, or because it was there at the start. */
  told: boolean;
}

/** No pid comes round again so soon: what was read needs no proof that it is of the process of the event. */
const UNCONFIRMED_NS = 100_000_000n;
/** How often it is looked whether a process that was gone when it was heard of is still there. */
const CHECK_NS = 1_000_000_000n;
/** A kernel thread gets its name within microseconds; one that has its parent's for so long keeps it. */
const NAMED_NS = 1_000_000_000n;

/**
 * The live processes of the machine: filled from /proc once, then kept by events, so that an exit still knows what it
 * was. It costs a read of /proc for each exec and for nothing else.
 *
 * - A fork gives the child what its parent has; a thread is no process of its own.
 * - Of every exec the kernel may have made a record: {@linkcode CommandLines}. Where there is none, of several execs of
 *   a process in one batch only the last is read from /proc; what the earlier ones were is unknown. So is what a process
 *   was that ended, or became another program, before it could be read.
 * - A process leaves the table with the exit of its last thread: {@linkcode ProcessTable.groups} knows which that is.
 */
export class ProcessTable {
  readonly #procFs: ProcFs;
  readonly #followsCgroup: boolean;
  readonly #isRelevant: (pid: number) => boolean;
  readonly #entries = new Map<number, TableEntry>();
  readonly #programs: Enricher;
  readonly #start: ProcessIdentity;
  /** Who has several threads. To be given every batch before the table: it sets `thread` of exits. */
  readonly groups: ThreadGroups;
  readonly #lazy = new BatchIndex();
  /** Processes that were gone when they were heard of, with the moment of the next look: their exits may never come. */
  readonly #unconfirmed = new Map<number, bigint>();
  /** Kernel threads that may not have their name yet, with the moment of their creation. */
  readonly #unnamed = new Map<number, bigint>();
  /** The batch that was applied last, and what was read for it. */
  #applied: readonly ProcessEvent[] = [];
  readonly #reads: { readonly info: ProcessInfo; readonly readNs: bigint }[] = [];
  #readCount = 0;
  /** Where the command lines come from; it is to be started once the subscription stands, and disposed of at the end. */
  readonly commandLines: CommandLines;
  /** What was read from /proc beside a record for the batch that was applied last. */
  readonly #besideRecords: {
    readonly info: MutableInfo;
    readonly record: ExecRecord;
    readonly readNs: bigint;
  }[] = [];

  /**
   * An empty table; see {@linkcode seed}.
   *
   * @param concerns Whose programs and users anybody will ask for. The others are there only for their line of
   * descent: nothing is read for them when they exec. It must answer the same for all the life of a process.
   */
  constructor(
    libc: Libc,
    options: TableOptions = {},
    isRelevant: (pid: number) => boolean = () => true,
  ) {
    this.#procFs = new ProcFs(libc, options);
    this.#followsCgroup = options.followCgroup ?? false;
    this.#isRelevant = isRelevant;
    this.#programs = new Enricher(this.#procFs, options.fields, options.commandLineBytes);
    this.commandLines = new CommandLines(libc, options.execRecords ?? "auto");
    this.#start = new ProcessIdentity(this.#procFs);
    this.groups = new ThreadGroups(this.#procFs, this.#start);
  }

  /** How many processes it holds. */
  get size(): number {
    return this.#entries.size;
  }

  /** Whether anybody will ask for its program and user. */
  isRelevant(pid: number): boolean {
    return this.#isRelevant(pid);
  }

  /** How many processes were read from /proc. */
  get readCount(): number {
    return this.#readCount;
  }

  /** Tells processes with one number apart. */
  get start(): ProcessIdentity {
    return this.#start;
  }

  /** The reader that it uses. */
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
   * Reads every process of the machine. To be called once the subscription is acknowledged, so that nothing falls
   * between: the events that queue up meanwhile may be applied over it.
   *
   * @throws {SyscallError} When /proc cannot be listed.
   */
  seed(): void {
    for (const pid of this.#procFs.pids()) {
      if (!this.#entries.has(pid)) this.readProcess(pid, true);
    }
    // Most parents have a smaller number and were read before, not all.
    for (const { info } of this.#entries.values()) {
      if (info.parentComm === undefined) (info as MutableInfo).parentComm = this.#commOf(info.parentPid);
    }
  }

  /** The processes with what the table remembers of each, by pid; the resync looks and writes here. */
  get entries(): ReadonlyMap<number, TableEntry> {
    return this.#entries;
  }

  /**
   * Takes in events, and gives each its `process`. To be called with each batch once, before others see it, and as soon
   * as it is received: what a process was can be read only while it lives.
   */
  apply(batch: readonly ProcessEvent[]): void {
    this.#lazy.begin(batch);
    this.#start.measureAgain();
    this.#applied = batch;
    this.#reads.length = 0;
    this.#besideRecords.length = 0;
    const { records } = this.commandLines;
    if (records !== undefined && batch.some(({ type }) => type === "exec")) records.read();
    let lastNs = 0n;
    for (let i = 0; i < batch.length; i++) {
      const event = batch[i]!;
      lastNs = event.timestampNs;
      if (event.type === "lost") records?.discard(event.timestampNs);
      if (event.type === "lost" || event.type === "unknown") continue;
      if ((event as { synthetic?: true }).synthetic === true) continue; // made from this table
      const info = this.#applyEvent(event, i) ?? emptyInfo(event.pid, "gone");
      (event as { process?: ProcessInfo }).process = info;
    }
    if (this.#besideRecords.length > 0) this.#checkReads();
    if (this.#unconfirmed.size > 0) this.#checkDoubtful(lastNs);
    if (this.#unnamed.size > 0) this.#nameKernelThreads(lastNs);
  }

  /** Whether something was read for the batch that was applied last, so that {@linkcode settle} is worth a call. */
  get hasPendingReads(): boolean {
    return this.#reads.length > 0;
  }

  /**
   * Takes back what later events prove wrong of the batch that was just applied: a command line that was read after its
   * process had become yet another program. To be called, where that matters, between {@linkcode apply} and handing
   * the batch out, with what could be received meanwhile without waiting; these events are to be applied afterwards.
   */
  settle(next: readonly ProcessEvent[]): void {
    if (this.#reads.length === 0) return;
    for (const event of next) {
      if (event.type !== "exec" && event.type !== "comm") continue;
      const named = isNaming(event, event.pid);
      if (event.type === "comm" && !named) continue;
      for (const { info, readNs } of this.#reads) {
        if (info.pid === event.pid && event.timestampNs <= readNs) this.#takeBack(info, next, named);
      }
    }
  }

  /**
   * Puts a process into the table as /proc has it; undefined where it is gone.
   *
   * @param told Whether the stream knows of it, or need not.
   */
  readProcess(pid: number, told: boolean): ProcessInfo | undefined {
    this.#readCount++;
    const stat = this.#procFs.stat(pid);
    if (stat === undefined || hasEnded(stat)) return undefined;
    this.groups.read(stat);
    const info = emptyInfo(pid, undefined);
    info.parentPid = stat.parentPid;
    info.parentComm = this.#commOf(stat.parentPid);
    info.startTimeTicks = stat.startTimeTicks;
    info.startNs = this.#start.ofStat(stat);
    info.startFrom = "proc";
    info.comm = stat.comm;
    info.session = stat.session;
    info.kernelThread = stat.kernelThread;
    if (this.#isRelevant(pid)) {
      this.#programs.program(info, undefined);
      this.#programs.stat(info, stat);
      this.#programs.user(info);
    } else {
      info.unknownBecause = "unasked";
    }
    this.#entries.set(pid, { info, userUnconfirmed: false, stackStart: stat.stackStart, told });
    return info;
  }

  /** Reads again what a process is, whose exec was not seen. */
  readAgain(entry: TableEntry): ProcessInfo {
    entry.info = { ...entry.info };
    entry.userUnconfirmed = true;
    this.#readNow(entry, this.#procFs.monotonicNs(), false);
    return entry.info;
  }

  /** Reads the user ids again: their events may have been lost. */
  readUserAgain(entry: TableEntry): void {
    const { uid, effectiveUid } = entry.info;
    const info: MutableInfo = { ...entry.info };
    this.#programs.user(info);
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
      case "fork":
        if (event.thread) return this.#known(event.pid, event.tid)?.info;
        this.#forked(event, index);
        return this.#withCgroup(event.pid, event.timestampNs);
      case "exec":
        return this.#execed(event, index);
      case "exit":
        if (!event.thread) this.#withCgroup(event.pid, event.timestampNs);
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
      const { parentPid, timestampNs: startNs } = event;
      const parentComm = this.#commOf(parentPid);
      existing.told = true;
      return existing.info = { ...existing.info, parentPid, parentComm, startNs, startFrom: "fork" };
    }
    const parent = this.#entries.get(event.parentPid) ?? this.#readUnknown(event.parentPid);
    const info: MutableInfo = parent === undefined ? emptyInfo(pid, "gone") : { ...parent.info };
    info.pid = pid;
    info.parentPid = event.parentPid;
    info.parentComm = parent?.info.comm;
    info.startNs = event.timestampNs;
    info.startFrom = "fork";
    info.startTimeTicks = undefined;
    // A kernel thread is named a moment later, by whoever wanted it, and no event says so.
    if (info.kernelThread) {
      info.comm = undefined;
      this.#unnamed.set(pid, event.timestampNs);
    }
    // The child of a thread has that thread's name and ids, and those are known of main threads only.
    const ofThread = event.parentTid !== event.parentPid && !info.kernelThread;
    if (ofThread) info.comm = undefined;
    const userUnconfirmed = ofThread || parent?.userUnconfirmed === true;
    if (parent?.userUnconfirmed === true) info.uid = info.effectiveUid = undefined;
    const entry: TableEntry = {
      info,
      userUnconfirmed,
      stackStart: parent === undefined ? 0 : parent.stackStart,
      told: true,
    };
    this.#entries.set(pid, entry);
    this.#unconfirmed.delete(pid);
    if (info.kernelThread) this.#nameKernelThread(entry, event.timestampNs);
    // What its parent was is not known, but the child may still be that.
    const { unknownBecause } = info;
    const unknown = unknownBecause === "superseded" || unknownBecause === "gone" ||
      unknownBecause === "unasked" ||
      (info.comm === undefined && !info.kernelThread && !ofThread);
    // A fork is also its parent's event, and shows the child.
    const asked = this.#isRelevant(pid) || this.#isRelevant(event.parentPid);
    if (asked && !this.#lazy.has("exec", pid, index) && !this.#lazy.has("exit", pid, index)) {
      const commIsLater = this.#lazy.has("comm", pid, index);
      if (unknown) this.#readChild(entry, event.timestampNs, commIsLater);
      else if (userUnconfirmed) this.#readThreadsChild(entry, event.timestampNs, commIsLater);
    }
    return entry.info;
  }

  /** Reads what a child is whose parent is not known well; what is known of that holds where nothing can be read. */
  #readChild(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    const { comm, commandLine, commandLineTruncated, exe, unknownBecause } = entry.info;
    this.#readNow(entry, eventNs, commIsLater);
    if (commandLine === undefined || entry.info.commandLine !== undefined) return;
    Object.assign(entry.info, { comm, commandLine, commandLineTruncated, exe, unknownBecause });
  }

  /** Reads what the child of a thread has from that, unless it has become another program already. */
  #readThreadsChild(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    const info = entry.info as MutableInfo;
    const stat = this.#procFs.stat(info.pid);
    if (stat === undefined || !this.#start.isOfEvent(stat, info, eventNs)) return;
    if (stat.stackStart !== entry.stackStart) return;
    info.startTimeTicks = stat.startTimeTicks;
    if (!commIsLater) info.comm = stat.comm;
    this.#programs.user(info);
    entry.userUnconfirmed = false;
  }

  #execed(event: ExecEvent, index: number): ProcessInfo {
    const { pid } = event;
    const before = this.#entries.get(pid) ?? this.#readUnknown(pid) ?? this.#goneEntry(pid);
    const info: MutableInfo = { ...before.info };
    const entry: TableEntry = {
      info,
      userUnconfirmed: before.userUnconfirmed,
      stackStart: 0,
      told: before.told,
    };
    this.#entries.set(pid, entry);
    info.kernelThread = false; // a kernel thread that execs, as those that start helpers do, is none any more
    const record = this.commandLines.records?.take(pid, event.timestampNs);
    if (!this.#isRelevant(pid)) {
      forgetProgram(info, "unasked");
      return info;
    }
    if (record !== undefined) this.#applyRecord(entry, record, index);
    else this.#readExec(entry, event, index);
    if (this.#programs.wantsCommandLine) this.commandLines.count(info, record !== undefined);
    if (entry.stackStart !== 0 && before.stackStart === entry.stackStart) {
      // Two programs rarely share a stack's start, and never all else: what was read for the earlier was this one.
      if (isSameProgram(before.info, info)) forgetProgram(before.info as MutableInfo, "superseded");
    }
    return entry.info;
  }

  /** Takes what the kernel recorded of an exec, and from /proc what only that has. */
  #applyRecord(entry: TableEntry, record: ExecRecord, index: number): void {
    const info = entry.info as MutableInfo;
    const { pid } = info;
    forgetProgram(info, "gone");
    info.unknownBecause = undefined;
    info.comm = record.comm;
    entry.stackStart = record.stackStart;
    const programs = this.#programs;
    programs.recorded(info, record);
    const userWanted = entry.userUnconfirmed || info.uid === undefined;
    if (userWanted) programs.recordedUser(info, record);
    const isLater = this.#lazy.has("exec", pid, index);
    if (isLater || this.#lazy.has("exit", pid, index)) {
      programs.withoutProc(info, record, isLater ? "superseded" : "gone");
      return;
    }
    const statWanted = info.parentPid === undefined;
    if (!programs.wantsProc(info, record) && !userWanted && !statWanted) return;
    this.#readCount++;
    programs.besideRecord(info, record);
    const stat = this.#procFs.stat(pid);
    const readNs = this.#procFs.monotonicNs();
    this.#besideRecords.push({ info, record, readNs });
    if (stat === undefined || !this.#start.isOfEvent(stat, info, record.timestampNs)) {
      // What was read is of this process all the same where no other can have its number yet.
      if (stat !== undefined || readNs - record.timestampNs > UNCONFIRMED_NS) {
        programs.withoutProc(info, record, "gone");
      }
      return;
    }
    info.startTimeTicks = stat.startTimeTicks;
    info.session = stat.session;
    if (statWanted) {
      info.parentPid = stat.parentPid;
      info.parentComm = this.#commOf(stat.parentPid);
    }
    programs.stat(info, stat);
    if (userWanted) programs.user(info);
    entry.userUnconfirmed = false;
  }

  /** Takes back what was read from /proc of a process that had become yet another program by then. */
  #checkReads(): void {
    const { records } = this.commandLines;
    records?.read();
    for (const { info, record, readNs } of this.#besideRecords) {
      if (records?.has(info.pid, readNs) === true) this.#programs.withoutProc(info, record, "superseded");
    }
  }

  /** Reads from /proc what a process became by an exec, as far as it can still be that. */
  #readExec(entry: TableEntry, event: ExecEvent, index: number): void {
    const info = entry.info as MutableInfo;
    const { pid } = event;
    if (this.#lazy.has("exec", pid, index)) {
      forgetProgram(info, "superseded");
      return;
    }
    if (this.#lazy.has("exit", pid, index)) {
      // Its memory went before its exit was reported. What is left until it is waited for is its name.
      forgetProgram(info, "gone");
      if (!this.#lazy.has("comm", pid, index)) this.#readComm(info, event.timestampNs);
      return;
    }
    this.#readNow(entry, event.timestampNs, this.#lazy.has("comm", pid, index));
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
      told: false,
    };
  }

  #readUnknown(pid: number): TableEntry | undefined {
    if (pid === 0) return undefined;
    return this.readProcess(pid, false) === undefined ? undefined : this.#entries.get(pid);
  }

  /** Reads what a process is now, and keeps it if it is the one that made an event at `eventNs`. */
  #readNow(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    this.#readCount++;
    const info = entry.info as MutableInfo;
    forgetProgram(info, "gone");
    // What the shortest-lived process loses first comes first; its line in /proc/PID/stat is the proof, and last.
    info.unknownBecause = undefined;
    this.#programs.program(info, "exec");
    const stat = this.#procFs.stat(info.pid);
    const readNs = this.#procFs.monotonicNs();
    this.#reads.push({ info, readNs });
    const confirmed = stat !== undefined && this.#start.isOfEvent(stat, info, eventNs);
    if (stat !== undefined ? !confirmed : readNs - eventNs > UNCONFIRMED_NS) {
      forgetProgram(info, "gone");
      return;
    }
    if (stat === undefined) {
      info.unknownBecause ??= "gone"; // its name, at least
      return;
    }
    entry.stackStart = stat.stackStart;
    info.startTimeTicks = stat.startTimeTicks;
    info.session = stat.session;
    info.kernelThread = stat.kernelThread;
    this.#programs.stat(info, stat);
    if (info.parentPid === undefined) {
      info.parentPid = stat.parentPid;
      info.parentComm = this.#commOf(stat.parentPid);
    }
    // The name is read after all events of the batch: one of those may have set it.
    if (!commIsLater) info.comm = stat.comm;
    if (entry.userUnconfirmed || info.uid === undefined) this.#programs.user(info);
    entry.userUnconfirmed = false;
  }

  /**
   * Forgets a program, or only its name, in every info of the last batch that has it: later ones of its process, and
   * its children's.
   */
  #takeBack(wrong: ProcessInfo, next: readonly ProcessEvent[], nameOnly: boolean): void {
    const { pid, commandLine, comm } = wrong;
    if (!nameOnly && commandLine !== undefined) this.commandLines.countTakenBack();
    const children = new Map<number, MutableInfo[]>();
    for (const event of this.#applied) {
      const info = event.process as MutableInfo | undefined;
      if (info === undefined) continue;
      if (info.parentPid === pid && info.parentComm === comm) info.parentComm = undefined;
      if (info.unknownBecause === "superseded") continue;
      const same = commandLine !== undefined ? info.commandLine === commandLine : info.pid === pid;
      if (info !== wrong && !same) continue;
      if (!nameOnly) forgetProgram(info, "superseded");
      else if (info.comm === comm) info.comm = undefined;
      if (info.pid === pid) continue;
      const infos = children.get(info.pid);
      if (infos === undefined) children.set(info.pid, [info]);
      else infos.push(info);
    }
    // A child may still be what its parent was.
    for (const [child, infos] of children) {
      const entry = this.#entries.get(child);
      if (entry === undefined || entry.info !== infos.at(-1) || !this.#isRelevant(child)) continue;
      if (next.some((lazy) => isProgramChange(lazy, child))) continue;
      const names = this.#applied.findLast((event) => isNaming(event, child));
      this.#readNow(
        entry,
        entry.info.startNs!,
        names !== undefined || next.some((lazy) => isNaming(lazy, child)),
      );
      if (names?.type === "comm") (entry.info as MutableInfo).comm = names.comm;
      const { commandLine, commandLineTruncated, exe, unknownBecause } = entry.info;
      for (const info of infos) {
        Object.assign(info, { commandLine, commandLineTruncated, exe, unknownBecause });
      }
    }
  }

  /** The process with the control group that it is in now, where somebody chooses by that. */
  #withCgroup(pid: number, eventNs: bigint): ProcessInfo | undefined {
    const entry = this.#entries.get(pid);
    if (!this.#followsCgroup || entry === undefined || !this.#isRelevant(pid)) return entry?.info;
    const cgroup = this.#procFs.cgroup(pid);
    if (cgroup === undefined || cgroup === entry.info.cgroup) return entry.info;
    const stat = this.#procFs.stat(pid);
    const isIts = stat !== undefined && this.#start.isOfEvent(stat, entry.info, eventNs);
    return isIts ? entry.info = { ...entry.info, cgroup } : entry.info;
  }

  #nameKernelThreads(nowNs: bigint): void {
    for (const pid of this.#unnamed.keys()) {
      const entry = this.#entries.get(pid);
      if (entry !== undefined && entry.info.kernelThread) this.#nameKernelThread(entry, nowNs);
      else this.#unnamed.delete(pid);
    }
  }

  /** Gives a kernel thread its name, unless it still has that of its parent and may yet get its own. */
  #nameKernelThread(entry: TableEntry, nowNs: bigint): void {
    const { info } = entry;
    const createdNs = this.#unnamed.get(info.pid);
    const stat = this.#procFs.stat(info.pid);
    const isNamed = stat !== undefined && stat.kernelThread &&
      (stat.comm !== info.parentComm || createdNs === undefined || nowNs - createdNs > NAMED_NS);
    if (isNamed) entry.info = { ...info, comm: stat.comm };
    if (isNamed || stat === undefined) this.#unnamed.delete(info.pid);
  }

  #commOf(pid: number | undefined): string | undefined {
    return pid === undefined ? undefined : this.#entries.get(pid)?.info.comm;
  }

  #readComm(info: MutableInfo, eventNs: bigint): void {
    const stat = this.#procFs.stat(info.pid);
    if (stat !== undefined && this.#start.isOfEvent(stat, info, eventNs)) info.comm = stat.comm;
  }

  /** Looks whether processes that were gone when they were heard of, or were hidden, are. */
  #checkDoubtful(nowNs: bigint): void {
    for (const [pid, atNs] of this.#unconfirmed) {
      if (atNs >= nowNs) continue;
      const stat = this.#procFs.stat(pid);
      if (stat === undefined ? this.#procFs.missing === "gone" : hasEnded(stat)) {
        this.remove(pid); // the stream has told neither its start nor its end
      } else this.#unconfirmed.set(pid, nowNs + CHECK_NS);
    }
  }
}

/** Whether an event gives a process its name: that of its main thread. */
function isNaming(event: ProcessEvent, pid: number): boolean {
  return event.type === "comm" && event.pid === pid && event.tid === pid;
}

function isProgramChange(event: ProcessEvent, pid: number): boolean {
  return (event.type === "exec" || event.type === "exit") && event.pid === pid;
}

function isSameProgram(a: ProcessInfo, b: ProcessInfo): boolean {
  return a.exe === b.exe && a.comm === b.comm && isSameCommandLine(a.commandLine, b.commandLine);
}

function isSameCommandLine(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((argument, i) => argument === b[i]);
}
