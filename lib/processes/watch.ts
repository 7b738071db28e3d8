import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import type { ProcessEvent, WithProcessInfo } from "./event.ts";
import type { ProcessEventType } from "./constants.ts";
import { type CheckedFilter, checkFilter, filterParts, wanted, wantsKind } from "./event_filter.ts";
import { ProcWatch } from "./event_watch.ts";
import type { ProcWatchOptions } from "./watch_options.ts";
import type { FilterPlacement } from "./watch_stats.ts";
import { checkWatchOptions } from "./check_options.ts";
import type { ProcessField } from "./info.ts";
import { checkProcessFilter, type ProcessFilter, wantedProcess } from "./process_filter.ts";
import { FollowedProcesses } from "./followed.ts";
import { ProcessGoneError } from "../errors/process_gone_error.ts";
import { ProcFs } from "../procfs/process.ts";
import { ProcessIdentity } from "./identity.ts";
import { DEFAULT_FIELDS } from "./enricher.ts";
import { Resync } from "./resync.ts";
import { type ProcessInfoOptions, ProcessTable, type TableOptions } from "./table.ts";
import { ThreadGroups } from "./thread_group.ts";
import { ProcessTree } from "./tree.ts";

/** An open watch of process events. */
export type ProcessWatch<Event extends ProcessEvent = ProcessEvent> = ProcWatch<Event>;

/** What to watch, and how. All that is asked for must hold of an event; `lost` events always come. */
export interface WatchProcessesOptions extends ProcWatchOptions, ProcessFilter {
  /** Only a process and all that came from it. It must be there when the watch is opened, which ends when all have ended. */
  readonly descendantsOf?: number | undefined;
  /**
   * Take `pids` as mere numbers: they need not be those of processes that are there, a later process with one of them is
   * meant as well, and the watch does not end by itself. Default false: a number is the process that has it now, and
   * the watch ends when the last of these processes has ended.
   */
  readonly pidReuse?: boolean | undefined;
  /**
   * Keep a table of the live processes, and give each event what is known of its process: command line, program,
   * user, parent, start. It costs a look at /proc at the start and for each exec. After a loss the table is compared
   * with /proc, and the difference comes as synthetic events. While programs start in quick succession, the watch waits
   * for the next one inside the kernel, so as to see it before it is gone: the event loop then gets a turn about every
   * 5 ms. Default false, but where `descendantsOf` or a choice of processes needs the table.
   */
  readonly processInfo?: boolean | ProcessInfoOptions | undefined;
  /**
   * Begin with synthetic `fork` and `exec` events for the processes that are there: who folds the events into a table
   * of processes has the right one from the start. Needs the table. Default false.
   */
  readonly snapshot?: boolean | undefined;
}

const ACTION = "watch processes";

/** What it takes to see a process end. */
const LIFE_EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit"];
/** What the table of processes lives on. */
const TABLE_EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit", "comm", "uid", "sid"];

/** As {@linkcode watchProcesses}, on a given machine. */
export function openProcessWatch(system: System, options: WatchProcessesOptions = {}): ProcessWatch {
  const {
    processInfo = false,
    descendantsOf,
    snapshot = false,
    signal,
    latencyMs,
    receiveBufferBytes,
    heartbeatMs,
  } = options;
  const byProcess = checkProcessFilter(options, system.libc, ACTION);
  const threads = options.threads ?? false;
  const filter = checkFilter({ ...options, threads }, ACTION);
  const follows = options.pidReuse !== true;
  if (processInfo === false && byProcess === undefined && descendantsOf === undefined && !snapshot) {
    return openPlainWatch(system, { ...options, threads }, filter, follows);
  }
  const tree = descendantsOf === undefined ? undefined : new ProcessTree(checkPid(descendantsOf));
  /** Who has had an event in the tree in this batch, though its exit may have taken it out again. */
  const inTree = new Set<number>();
  /** After a loss nobody knows who came into the tree. */
  let comparing = false;
  function isRelevant(pid: number): boolean {
    return (filter.pids === undefined || filter.pids.has(pid)) &&
      (tree === undefined || comparing || tree.has(pid) || inTree.has(pid));
  }
  const table = new ProcessTable(
    system.libc,
    tableOptions(processInfo, byProcess?.fields ?? []),
    isRelevant,
  );
  const resync = new Resync(table);
  const followed = follows && filter.pids !== undefined
    ? new FollowedProcesses(table.procFs, table.start)
    : undefined;
  // The table wants the beginnings and ends of all processes, so only the kinds of events can be chosen before it.
  const kinds = options.events;
  const events = kinds && [...new Set([...kinds, ...TABLE_EVENTS])];

  function isWanted(event: ProcessEvent): boolean {
    const isFollowed = followed === undefined || followed.apply(event);
    if (event.type === "lost") return true;
    return isFollowed && wanted(filter, event) &&
      (byProcess === undefined || wantedProcess(byProcess, event));
  }
  function isOver(): boolean {
    return followed?.size === 0 || (tree?.size === 0 && !resync.pending);
  }
  function isInTree(event: ProcessEvent): boolean {
    if (tree === undefined) return true;
    const isIn = tree.apply(event);
    if (isIn && event.pid !== undefined) inTree.add(event.pid);
    return isIn;
  }
  const placements: FilterPlacement[] = [
    ...filterParts(filter).filter((part) => part !== "events"),
    ...(tree === undefined ? [] : ["descendantsOf"]),
  ].map((part): FilterPlacement => ({ part, places: ["typescript"] }));
  for (const { part, note } of [...byProcess?.wanted ?? [], ...byProcess?.unwanted ?? []]) {
    placements.push(
      note === undefined ? { part, places: ["typescript"] } : { part, places: ["typescript"], note },
    );
  }

  let first: ProcessEvent[] = [];
  const watch = new ProcWatch<ProcessEvent>(
    system,
    { events, signal, latencyMs, receiveBufferBytes, heartbeatMs },
    {
      eager: true,
      dueMs: () => first.length > 0 ? 0 : resync.dueMs() ?? followed?.dueMs(),
      filters: placements,
      commandLines: () => table.commandLines.stats(),
      onClose: () => table.commandLines[Symbol.dispose](),
      batch(batch, ahead, drained) {
        inTree.clear();
        table.groups.apply(batch, !threads, ahead);
        // The tree first: the table reads nothing of who is not in it.
        const kept = batch.filter(isInTree);
        table.apply(batch);
        // What was read of a process may be of the program that it has become since: the next events tell.
        if (table.hasPendingReads) table.settle(ahead());
        const told = first;
        first = [];
        comparing = true;
        const synthetic = resync.take(batch, drained()).filter(isInTree);
        comparing = false;
        const handed = [...told, ...kept, ...synthetic].filter(isWanted);
        followed?.settle(drained());
        if (isOver()) watch.finish();
        return handed;
      },
    },
  );
  try {
    table.commandLines.start();
    if (tree !== undefined && !tree.seed(table.procFs)) {
      throw new ProcessGoneError(`watch the tree of process ${descendantsOf}`, descendantsOf!, "absent");
    }
    followed?.begin(filter.pids!);
    if (snapshot) first = resync.start();
    else table.seed();
    if (tree === undefined) return watch;
    first = first.filter((event) => tree.has(event.pid!));
  } catch (error) {
    watch.close();
    throw error;
  }
  return watch;
}

/**
 * A watch without a table. It follows threads where it takes that to tell the exits of processes, and processes where
 * they are chosen by number.
 */
function openPlainWatch(
  system: System,
  options: ProcWatchOptions,
  filter: CheckedFilter,
  follows: boolean,
): ProcessWatch {
  const followsPids = follows && filter.pids !== undefined;
  if (!followsPids && !wantsKind(filter, "exit")) return new ProcWatch<ProcessEvent>(system, options);
  const procFs = new ProcFs(system.libc);
  const start = new ProcessIdentity(procFs);
  const followed = followsPids ? new FollowedProcesses(procFs, start) : undefined;
  const groups = new ThreadGroups(procFs, start);
  const { events } = options;
  const received: ProcWatchOptions = followsPids
    ? { ...options, exits: "all", events: events && [...new Set([...events, ...LIFE_EVENTS])] }
    : options;
  const watch = new ProcWatch<ProcessEvent>(system, received, {
    eager: false,
    threadLife: true,
    filters: followsPids && filter.failedOnly ? [{ part: "exits", places: ["typescript"] }] : [],
    dueMs: () => followed?.dueMs(),
    batch(batch, ahead, drained) {
      groups.apply(batch, filter.withoutThreads, ahead);
      // Reading while losses go on would only make them worse.
      if (groups.wantsSeed && drained()) groups.seed(filter.pids);
      const handed = batch.filter((event) => {
        const isFollowed = followed === undefined || followed.apply(event);
        return event.type === "lost" || (isFollowed && wanted(filter, event));
      });
      followed?.settle(drained());
      if (followed?.size === 0) watch.finish();
      return handed;
    },
  });
  try {
    followed?.begin(filter.pids!);
  } catch (error) {
    watch.close();
    throw error;
  }
  groups.seed(filter.pids);
  return watch;
}

/** What was asked for, and what a choice of processes has to know. */
function tableOptions(
  processInfo: boolean | ProcessInfoOptions,
  needed: readonly ProcessField[],
): TableOptions {
  const chosen = typeof processInfo === "boolean" ? {} : processInfo;
  const fields = [...new Set([...chosen.fields ?? DEFAULT_FIELDS, ...needed])];
  return { ...chosen, fields, followCgroup: needed.includes("cgroup") };
}

function checkPid(pid: number): number {
  if (Number.isInteger(pid) && pid > 0 && pid < 2 ** 31) return pid;
  throw new TypeError(`Cannot ${ACTION}: ${pid} is no process id`);
}

/**
 * Watches every process of the machine.
 *
 * Resolves once the kernel has acknowledged the subscription: what happens after it is in the stream, or the stream
 * says how much was lost. Needs no privilege from kernel 6.6 on, CAP_NET_ADMIN before.
 *
 * @throws {UnsupportedError} Where the kernel, the namespace, the runtime or its permissions do not allow it: `reason`
 * and the message say which and what to do.
 * @throws {SyscallError} Where a system call fails, as with EPERM before kernel 6.6.
 * @throws {TypeError} For an event, a user, a pattern or a process id that there cannot be, or that can never match.
 * @throws {ProcessGoneError} Where there is no process `descendantsOf`, or one of `pids`.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { watchProcesses } from "kernel-connector";
 *
 * await using events = await watchProcesses({ events: ["exit"] });
 * const child = spawn("/bin/sh", ["-c", "exit 3"]);
 * for await (const event of events) {
 *   if (event.type === "exit" && event.pid === child.pid) {
 *     assert.equal(event.exitCode, 3);
 *     break;
 *   }
 * }
 * ```
 */
export function watchProcesses(
  options: WatchProcessesOptions & { readonly processInfo: true | ProcessInfoOptions },
): Promise<ProcessWatch<WithProcessInfo>>;
/** As above; without `processInfo`, `process` of an event may be missing. */
export function watchProcesses(options?: WatchProcessesOptions): Promise<ProcessWatch>;
export async function watchProcesses(options: WatchProcessesOptions = {}): Promise<ProcessWatch> {
  checkWatchOptions(options, ACTION);
  return openProcessWatch(await openSystem(ACTION), options);
}
