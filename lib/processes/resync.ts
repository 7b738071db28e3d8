import { SyscallError } from "../errors/syscall_error.ts";
import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent } from "./event.ts";
import type { ProcessInfo } from "./info.ts";
import { hasEnded, type ProcStat } from "../procfs/text.ts";
import type { ProcessTable, TableEntry } from "./table.ts";

/** An event that was found out by comparing with /proc: see {@linkcode Resync}. */
export type SyntheticEvent = ForkEvent | ExecEvent | ExitEvent;

/** Synthetic events come from no processor. */
const NO_CPU = -1;
const NO_SEQ = -1;

/**
 * The kernel reports a fork a little after the child can be seen in /proc, and an exit a little after the process can
 * be waited for: a comparison waits for what was under way while /proc was read.
 */
const UNDER_WAY_NS = 3_000_000n;
const DUE_MS = 4;
/** Between two readings of /proc while events keep coming, and after one that failed. */
const PAUSE_NS = 200_000_000n;
const RETRY_MS = 100;
/** How long reading may fail, for example while no descriptor is left. */
const GIVE_UP_NS = 30_000_000_000n;

/**
 * Corrects the stream after a loss: compares the table with /proc, and emits the differences as synthetic events. A
 * consumer that folds forks, execs and exits into a table of processes has the right one afterwards.
 *
 * /proc is read when the loss is seen; the comparison waits until the events from before that moment have been applied,
 * so that nothing is emitted twice. A process that had events meanwhile needs none.
 *
 * - `fork` for a process that the stream does not know, and `exec` after it unless it still runs its parent's program;
 * - `exec` for a process that became another program. If this user may not read where its stack begins, its
 *   name, file and arguments are compared;
 * - `exit` for a process that is gone, with an unknown status.
 *
 * Lost events of threads have no synthetic ones, nor do those of names and user ids: infos show them.
 */
export class Resync {
  readonly #table: ProcessTable;
  /** What /proc had when the loss was seen; undefined while there is nothing to do. */
  #snapshot: ReadonlyMap<number, ProcStat> | undefined;
  #readNs = 0n;
  #comparing = false;
  /** A loss was seen, and /proc not read since. */
  #wanted = false;
  /** Since when /proc cannot be listed; undefined while it can. */
  #failedSinceNs: bigint | undefined;
  /** Processes that could not be read, for a reason that has nothing to do with them. */
  readonly #unread = new Set<number>();
  /** /proc shows no process of other users (hidepid): of those, what is not there need not be gone. */
  #hidden = false;
  /** Processes that were born or ended since. */
  readonly #touched = new Set<number>();
  /** Processes that became another program since. */
  readonly #execed = new Set<number>();
  /** Processes whose name or session changed since: events know it better than what was read. */
  readonly #renamed = new Set<number>();

  /** Works on a table that is applied to every batch first. */
  constructor(table: ProcessTable) {
    this.#table = table;
  }

  /** Whether a comparison is under way. */
  get pending(): boolean {
    return this.#wanted || this.#snapshot !== undefined;
  }

  /** Whether a comparison is being applied to the table: it may ask for processes that had no event yet. */
  get comparing(): boolean {
    return this.#comparing;
  }

  /** In how many milliseconds {@linkcode update} wants to be called, events or not; undefined while nothing is under way. */
  dueMs(): number | undefined {
    if (this.#failedSinceNs !== undefined) return RETRY_MS;
    return this.pending ? DUE_MS : undefined;
  }

  /**
   * Fills an empty table from /proc, and returns synthetic events for all its processes.
   *
   * @throws {SyscallError} When /proc cannot be listed.
   */
  start(): SyntheticEvent[] {
    const table = this.#table;
    const nowNs = table.procFs.monotonicNs();
    table.seed();
    const entries = [...table.entries.values()].sort(byStart);
    const events: SyntheticEvent[] = [];
    for (const entry of entries) this.#emit(entry, nowNs, events);
    return events;
  }

  /**
   * To be called with every batch after the table; returns the synthetic events that follow it, nearly always none.
   *
   * @param drained Whether the queue was empty after this batch.
   * @throws {SyscallError} When /proc could not be listed for half a minute.
   */
  update(batch: readonly ProcessEvent[], drained: boolean): SyntheticEvent[] {
    const events: SyntheticEvent[] = [];
    let lost = false;
    for (const event of batch) if (event.type === "lost") lost = true;
    if (lost) {
      // What was read so far may be wrong again.
      this.#wanted = true;
    }
    if (this.#wanted) {
      // Reading while losses go on would only make them worse.
      const nowNs = this.#table.procFs.monotonicNs();
      if (drained || (!lost && nowNs - this.#readNs > PAUSE_NS)) this.#tryToBegin(nowNs, batch.length === 0);
      return events;
    }
    if (this.#snapshot === undefined) return events;
    for (const event of batch) {
      if (event.type === "fork" && !event.thread) this.#touched.add(event.pid);
      else if (event.type === "exit" && !event.thread) this.#touched.add(event.pid);
      else if (event.type === "exec") this.#execed.add(event.pid);
      else if (event.type === "comm" || event.type === "sid") this.#renamed.add(event.pid);
    }
    const afterNs = this.#readNs + UNDER_WAY_NS;
    const passed = batch.length > 0 && batch[batch.length - 1]!.timestampNs > afterNs;
    if (!passed && !(drained && this.#table.procFs.monotonicNs() > afterNs)) return events;
    this.#comparing = true;
    this.#finish(this.#snapshot, events);
    this.#comparing = false;
    return events;
  }

  /** Begins, or leaves it for later: what was received is worth more than a comparison at once. */
  #tryToBegin(nowNs: bigint, mayThrow: boolean): void {
    try {
      this.begin();
    } catch (error) {
      this.#readNs = nowNs;
      this.#failedSinceNs ??= nowNs;
      if (!(error instanceof SyscallError) || (mayThrow && nowNs - this.#failedSinceNs > GIVE_UP_NS)) {
        throw error;
      }
    }
  }

  /**
   * Reads /proc for a comparison, as after a loss.
   *
   * @throws {SyscallError} When /proc cannot be listed.
   */
  begin(): void {
    const { procFs, groups } = this.#table;
    const snapshot = new Map<number, ProcStat>();
    const pids = procFs.pids();
    this.#wanted = false;
    this.#failedSinceNs = undefined;
    this.#unread.clear();
    this.#touched.clear();
    this.#execed.clear();
    this.#renamed.clear();
    for (const pid of pids) {
      const stat = procFs.stat(pid);
      if (stat === undefined && procFs.missing !== "gone") this.#unread.add(pid);
      if (stat === undefined || hasEnded(stat)) continue;
      snapshot.set(pid, stat);
      groups.read(stat); // threads may have been lost too
    }
    this.#hidden = procFs.stat(1) === undefined;
    this.#snapshot = snapshot;
    this.#readNs = procFs.monotonicNs();
  }

  #finish(snapshot: ReadonlyMap<number, ProcStat>, events: SyntheticEvent[]): void {
    this.#snapshot = undefined;
    const table = this.#table;
    const nowNs = this.#readNs;
    for (const [pid, entry] of table.entries) {
      if (this.#touched.has(pid) || this.#unread.has(pid)) continue;
      const stat = snapshot.get(pid);
      // One that was never seen in /proc may be hidden there.
      if (stat === undefined && this.#hidden && entry.info.startTimeTicks === undefined) continue;
      if (stat !== undefined ? table.start.isSame(entry.info, stat) : this.#isThere(entry.info)) continue;
      table.remove(pid);
      events.push(exitEvent(entry.info, nowNs));
    }
    const unknown: TableEntry[] = [];
    for (const [pid, stat] of snapshot) {
      const entry = table.entries.get(pid);
      if (entry === undefined) {
        // One that had an exit since needs no other.
        if (!this.#touched.has(pid) && table.readProcess(pid, false) !== undefined) {
          unknown.push(table.entries.get(pid)!);
        }
      } else if (table.start.isSame(entry.info, stat)) {
        // Found out by the table itself, it may be as outdated as any; its exec comes with its fork.
        if (!entry.announced) unknown.push(entry);
        this.#compare(entry, stat, entry.announced ? events : []);
      }
    }
    // Those that were forked meanwhile have what was assumed of their parents.
    for (const pid of this.#touched) {
      const entry = table.entries.get(pid);
      const read = snapshot.get(pid);
      if (entry === undefined || (read !== undefined && table.start.isSame(entry.info, read))) continue;
      const stat = table.procFs.stat(pid);
      if (stat !== undefined && table.start.isSame(entry.info, stat)) this.#compare(entry, stat, events);
    }
    for (const entry of unknown.sort(byStart)) this.#emit(entry, nowNs, events);
    if (this.#unread.size > 0) {
      this.#wanted = true;
      this.#failedSinceNs = nowNs; // not at once
    }
  }

  /** Whether a process is there that was not when /proc was listed. */
  #isThere(info: ProcessInfo): boolean {
    const stat = this.#table.procFs.stat(info.pid);
    if (stat === undefined) return this.#table.procFs.missing !== "gone";
    return !hasEnded(stat) && this.#table.start.isSame(info, stat);
  }

  /** Updates a known process, and emits an exec if it had one. */
  #compare(entry: TableEntry, stat: ProcStat, events: SyntheticEvent[]): void {
    const table = this.#table;
    if (!this.#execed.has(stat.pid) && this.#hasExeced(entry, stat)) {
      const info = table.readAgain(entry);
      events.push(execEvent(info, this.#readNs));
      return;
    }
    const { info } = entry;
    const { startTimeTicks } = stat;
    const { comm, session } = this.#renamed.has(info.pid) || this.#execed.has(info.pid) ? info : stat;
    if (!this.#execed.has(info.pid)) entry.stackStart = stat.stackStart;
    if (info.comm !== comm || info.session !== session || info.startTimeTicks !== startTimeTicks) {
      entry.info = { ...info, comm, session, startTimeTicks };
    }
    if (!stat.kernelThread && table.isRelevant(info.pid)) table.readUserAgain(entry);
  }

  #hasExeced(entry: TableEntry, stat: ProcStat): boolean {
    const { info } = entry;
    if (stat.kernelThread || !this.#table.isRelevant(info.pid)) return false;
    // What could not be read then may be readable now.
    if (info.unknownBecause !== undefined && info.unknownBecause !== "refused") return true;
    if (entry.stackStart !== 0 && stat.stackStart !== 0) return entry.stackStart !== stat.stackStart;
    if (info.kernelThread) return true;
    const { procFs } = this.#table;
    const exe = info.exe === undefined ? undefined : procFs.exe(info.pid);
    if (exe !== undefined && exe !== info.exe) return true;
    if (info.comm === stat.comm) return false;
    // A name alone can be changed without an exec, and so can arguments: both are taken for one.
    const line = info.commandLine === undefined ? undefined : procFs.commandLine(info.pid, false);
    return line === undefined || line.args.join("\0") !== info.commandLine!.join("\0");
  }

  /** Emits a process that readers do not know. */
  #emit(entry: TableEntry, nowNs: bigint, events: SyntheticEvent[]): void {
    const { info } = entry;
    entry.announced = true;
    events.push(forkEvent(info, nowNs));
    if (info.kernelThread) return;
    const parent = info.parentPid === undefined ? undefined : this.#table.entries.get(info.parentPid);
    const isParents = parent !== undefined && parent.stackStart !== 0 &&
      parent.stackStart === entry.stackStart;
    if (!isParents) events.push(execEvent(info, nowNs));
  }
}

function forkEvent(info: ProcessInfo, timestampNs: bigint): SyntheticEvent {
  const parent = info.parentPid ?? 0;
  return {
    type: "fork",
    cpu: NO_CPU,
    seq: NO_SEQ,
    timestampNs,
    parentPid: parent,
    parentTid: parent,
    pid: info.pid,
    tid: info.pid,
    thread: false,
    synthetic: true,
    process: info,
  };
}

function execEvent(info: ProcessInfo, timestampNs: bigint): SyntheticEvent {
  const { pid } = info;
  return {
    type: "exec",
    cpu: NO_CPU,
    seq: NO_SEQ,
    timestampNs,
    pid,
    tid: pid,
    synthetic: true,
    process: info,
  };
}

function exitEvent(info: ProcessInfo, timestampNs: bigint): SyntheticEvent {
  return {
    type: "exit",
    cpu: NO_CPU,
    seq: NO_SEQ,
    timestampNs,
    pid: info.pid,
    tid: info.pid,
    status: null,
    exitCode: null,
    signal: null,
    coreDumped: false,
    exitSignal: 0,
    parentPid: info.parentPid,
    parentTid: info.parentPid,
    thread: false,
    synthetic: true,
    process: info,
  };
}

/** Parents before their children. */
function byStart(a: TableEntry, b: TableEntry): number {
  const [first, second] = [a.info.startNs ?? 0n, b.info.startNs ?? 0n];
  return first === second ? a.info.pid - b.info.pid : first < second ? -1 : 1;
}
