import type { Libc } from "../../ffi/libc.ts";
import type { ProcFs } from "../procfs/process.ts";
import type { ProcStat } from "../procfs/text.ts";
import { BatchIndex } from "./batch_index.ts";
import { CommandLines } from "./command_lines.ts";
import { Enricher } from "./enricher.ts";
import type { ExecEvent, ForkEvent, ProcessEvent } from "./event.ts";
import type { ExecRecord } from "./exec_record.ts";
import type { ProcessIdentity } from "./identity.ts";
import { forgetProgram, type MutableInfo, type ProcessInfo } from "./info.ts";
import { setParent } from "./parents.ts";
import type { TableEntry } from "./table.ts";
import type { ProcessInfoOptions } from "./info.ts";

/** No pid is reused within this time: what was read needs no check against a reused pid. */
const UNCONFIRMED_NS = 100_000_000n;

/** An exec is visible in /proc for less than this before it has its event. */
const EXEC_NS = 1_000_000n;

/**
 * Finds out which program a process runs, from exec records or from /proc. Reading /proc races with the process, so what
 * later proves to belong to another program is retracted. Works on one batch at a time.
 */
export class ProgramReads {
  readonly #procFs: ProcFs;
  readonly #identity: ProcessIdentity;
  readonly #enricher: Enricher;
  readonly #commandLines: CommandLines;
  readonly #entries: ReadonlyMap<number, TableEntry>;
  readonly #isRelevant: (pid: number) => boolean;
  readonly #mostParents: number;
  readonly #index = new BatchIndex();
  /** The current batch, and what was read for it. */
  #applied: readonly ProcessEvent[] = [];
  readonly #reads: { readonly info: ProcessInfo; readonly readNs: bigint }[] = [];
  /** How many processes were read from /proc. */
  count = 0;

  /** Reads for the processes in `entries`, but only for relevant ones. */
  constructor(
    libc: Libc,
    procFs: ProcFs,
    identity: ProcessIdentity,
    options: ProcessInfoOptions,
    entries: ReadonlyMap<number, TableEntry>,
    isRelevant: (pid: number) => boolean,
  ) {
    this.#procFs = procFs;
    this.#identity = identity;
    this.#enricher = new Enricher(procFs, options.fields, options.commandLineBytes);
    const { wantsCommandLine, wantsExe } = this.#enricher;
    this.#commandLines = new CommandLines(libc, options.execRecords ?? "auto", wantsCommandLine || wantsExe);
    this.#entries = entries;
    this.#mostParents = options.parents ?? 0;
    this.#isRelevant = isRelevant;
  }

  /** The source of command lines. To be opened before the subscription, and disposed of at the end. */
  get commandLines(): CommandLines {
    return this.#commandLines;
  }

  /** Begins a batch. */
  begin(batch: readonly ProcessEvent[]): void {
    this.#index.begin(batch);
    this.#applied = batch;
    this.#reads.length = 0;
    this.#enricher.begin();
    const { records } = this.#commandLines;
    if (records !== undefined && batch.some(({ type }) => type === "exec")) records.read();
  }

  /** Forgets the records of execs whose events were lost. */
  lose(timestampNs: bigint): void {
    this.#commandLines.records?.discard(timestampNs);
  }

  /** Whether something was read for the batch, so that {@linkcode reconcile} must be called. */
  get hasPending(): boolean {
    return this.#reads.length > 0;
  }

  /** Reads everything of a process that was found in /proc. */
  readFound(info: MutableInfo, stat: ProcStat): void {
    this.#enricher.program(info, undefined);
    this.#enricher.stat(info, stat);
    this.#enricher.user(info);
  }

  /** Reads the user ids of a process. */
  readUser(info: MutableInfo): void {
    this.#enricher.user(info);
  }

  /** Completes a child whose parent is not known well enough. `index` is that of its fork. */
  readFork(entry: TableEntry, event: ForkEvent, index: number, isUnknown: boolean): void {
    if (!isUnknown && !entry.userUnconfirmed) return;
    const { pid, timestampNs } = event;
    if (this.#index.has("exec", pid, index) || this.#index.has("exit", pid, index)) return;
    const commIsLater = this.#index.has("comm", pid, index);
    if (isUnknown) this.#readChild(entry, timestampNs, commIsLater);
    else this.#readThreadsChild(entry, timestampNs, commIsLater);
  }

  /** Finds out which program a process executed. `before` is its previous info, `index` that of the event. */
  readExec(entry: TableEntry, before: TableEntry, event: ExecEvent, index: number): void {
    const info = entry.info as MutableInfo;
    const record = this.#commandLines.records?.take(event.pid, event.timestampNs);
    if (!this.#isRelevant(event.pid)) {
      forgetProgram(info, "unasked");
      return;
    }
    if (record !== undefined) this.#applyRecord(entry, record, index);
    else this.#readProgram(entry, event, index);
    if (this.#enricher.wantsCommandLine) this.#commandLines.count(info, record !== undefined);
    if (this.#isReadOfNext(before, entry, event.timestampNs)) {
      if (before.readNs !== undefined && before.info.commandLine !== undefined) {
        this.#commandLines.countTakenBack();
      }
      forgetProgram(before.info as MutableInfo, "superseded");
    }
  }

  /** Whether what was read from /proc for the exec before may be of the program of this one, whose event came later. */
  #isReadOfNext(before: TableEntry, { info, stackStart }: TableEntry, eventNs: bigint): boolean {
    // Two programs rarely share a stack's start, and never all else.
    if (stackStart !== 0) return before.stackStart === stackStart && isSameProgram(before.info, info);
    return before.readNs !== undefined && eventNs - before.readNs < EXEC_NS;
  }

  /**
   * Retracts what later events prove wrong in the batch that was just applied: a command line that was read after the
   * process had executed yet another program. `next` is what could be received meanwhile without waiting.
   */
  reconcile(next: readonly ProcessEvent[]): void {
    if (this.#reads.length === 0) return;
    for (const event of next) {
      if (event.type !== "exec" && event.type !== "comm") continue;
      const named = isNaming(event, event.pid);
      if (event.type === "comm" && !named) continue;
      for (const { info, readNs } of this.#reads) {
        if (info.pid === event.pid && event.timestampNs <= readNs) this.#retract(info, next, named);
      }
    }
  }

  /** Reads a child whose parent is not known well. If nothing can be read, it keeps what is known of the parent. */
  #readChild(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    const { comm, commandLine, commandLineTruncated, exe, unknownBecause } = entry.info;
    this.readNow(entry, eventNs, commIsLater);
    if (commandLine === undefined || entry.info.commandLine !== undefined) return;
    Object.assign(entry.info, { comm, commandLine, commandLineTruncated, exe, unknownBecause });
    // Nothing that was read is left, so nothing that comes later proves it wrong; what it has is its parent's.
    this.#reads.pop();
  }

  /** Reads what a child inherits from the thread that created it, unless it runs another program already. */
  #readThreadsChild(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    const info = entry.info as MutableInfo;
    const stat = this.#procFs.stat(info.pid);
    if (stat === undefined || !this.#identity.isOfEvent(stat, info, eventNs)) return;
    if (stat.stackStart !== entry.stackStart) return;
    info.startTimeTicks = stat.startTimeTicks;
    if (!commIsLater) info.comm = stat.comm;
    this.#enricher.user(info);
    entry.userUnconfirmed = false;
  }

  /** Takes what the record of an exec contains, and reads the rest from /proc. */
  #applyRecord(entry: TableEntry, record: ExecRecord, index: number): void {
    const info = entry.info as MutableInfo;
    const { pid } = info;
    forgetProgram(info, "gone");
    info.unknownBecause = undefined;
    info.comm = record.comm;
    entry.stackStart = record.stackStart;
    const enricher = this.#enricher;
    enricher.recorded(info, record);
    if (!enricher.wantsUser) entry.userUnconfirmed = false; // the name is known now
    const userWanted = enricher.wantsUser && (entry.userUnconfirmed || info.uid === undefined);
    if (userWanted) enricher.recordedUser(info, record);
    const statWanted = info.parentPid === undefined;
    if (!enricher.wantsProc(info, record) && !userWanted && !statWanted) return;
    const isLater = this.#index.has("exec", pid, index);
    if (isLater || this.#index.has("exit", pid, index)) {
      enricher.withoutProc(info, record, isLater ? "superseded" : "gone");
      return;
    }
    this.count++;
    enricher.besideRecord(info, record);
    const stat = this.#procFs.stat(pid);
    if (stat === undefined || !this.#identity.isOfEvent(stat, info, record.timestampNs)) {
      enricher.withoutProc(info, record, "gone");
      return;
    }
    // Each exec makes a new stack. If it is unchanged at the end, everything was read of the recorded program.
    if (stat.stackStart !== record.stackStart && info.unknownBecause !== "refused") {
      enricher.withoutProc(info, record, stat.stackStart === 0 ? "gone" : "superseded");
      return;
    }
    info.startTimeTicks = stat.startTimeTicks;
    info.session = stat.session;
    if (statWanted) {
      setParent(this.#entries, info, stat.parentPid, this.#mostParents);
    }
    enricher.stat(info, stat);
    if (userWanted) enricher.user(info);
    entry.userUnconfirmed = false;
  }

  /** Reads the program of an exec from /proc, unless the process must be running another one by now. */
  #readProgram(entry: TableEntry, event: ExecEvent, index: number): void {
    const info = entry.info as MutableInfo;
    const { pid } = event;
    if (this.#index.has("exec", pid, index)) {
      forgetProgram(info, "superseded");
      return;
    }
    if (this.#index.has("exit", pid, index)) {
      // Its memory was released before the exit event. Only its name is left until it is reaped.
      forgetProgram(info, "gone");
      if (!this.#index.has("comm", pid, index)) this.#readComm(info, event.timestampNs);
      return;
    }
    this.readNow(entry, event.timestampNs, this.#index.has("comm", pid, index));
  }

  /** Reads what a process is now, and keeps it if it is the one that made an event at `eventNs`. */
  readNow(entry: TableEntry, eventNs: bigint, commIsLater: boolean): void {
    this.count++;
    const info = entry.info as MutableInfo;
    forgetProgram(info, "gone");
    // First what a process loses first when it ends. /proc/PID/stat comes last: it proves whose data was read.
    info.unknownBecause = undefined;
    this.#enricher.program(info, "exec");
    const stat = this.#procFs.stat(info.pid);
    const readNs = this.#procFs.monotonicNs();
    this.#reads.push({ info, readNs });
    const confirmed = stat !== undefined && this.#identity.isOfEvent(stat, info, eventNs);
    if (stat !== undefined ? !confirmed : readNs - eventNs > UNCONFIRMED_NS) {
      forgetProgram(info, "gone");
      return;
    }
    if (stat === undefined) {
      info.unknownBecause ??= "gone"; // its name, at least
      return;
    }
    entry.stackStart = stat.stackStart;
    entry.readNs = readNs;
    info.startTimeTicks = stat.startTimeTicks;
    info.session = stat.session;
    info.kernelThread = stat.kernelThread;
    if (stat.inExec || this.#enricher.hasGotArguments(info)) forgetProgram(info, "superseded");
    this.#enricher.stat(info, stat);
    if (info.parentPid === undefined) {
      setParent(this.#entries, info, stat.parentPid, this.#mostParents);
    }
    // The name is read after all events of the batch, one of which may have set it.
    if (!commIsLater) info.comm = stat.comm;
    if (entry.userUnconfirmed || info.uid === undefined) this.#enricher.user(info);
    entry.userUnconfirmed = false;
  }

  /**
   * Forgets a program, or only its name, in every info of the last batch that has it: later ones of the process, and
   * those of its children.
   */
  #retract(wrong: ProcessInfo, next: readonly ProcessEvent[], nameOnly: boolean): void {
    const { pid, commandLine, comm } = wrong;
    if (!nameOnly && commandLine !== undefined) this.#commandLines.countTakenBack();
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
      if (next.some((later) => isProgramChange(later, child))) continue;
      const names = this.#applied.findLast((event) => isNaming(event, child));
      this.readNow(
        entry,
        entry.info.startNs!,
        names !== undefined || next.some((later) => isNaming(later, child)),
      );
      if (names?.type === "comm") (entry.info as MutableInfo).comm = names.comm;
      const { commandLine, commandLineTruncated, exe, unknownBecause } = entry.info;
      for (const info of infos) {
        Object.assign(info, { commandLine, commandLineTruncated, exe, unknownBecause });
      }
    }
  }

  #readComm(info: MutableInfo, eventNs: bigint): void {
    const stat = this.#procFs.stat(info.pid);
    if (stat !== undefined && this.#identity.isOfEvent(stat, info, eventNs)) info.comm = stat.comm;
  }
}

/** Whether an event changes the name of a process, which is that of its main thread. */
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
  if (a === undefined || b === undefined) return true; // nothing is known that differs
  return a.length === b.length && a.every((argument, i) => argument === b[i]);
}
