import type { System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { ProcFs } from "../procfs/process.ts";
import { PROCESS_EVENT_TYPES, type ProcessEventType } from "./constants.ts";
import type { WithProcessInfo } from "./event.ts";
import {
  ALL_EVENTS,
  type CheckedFilter,
  checkFilter,
  filterParts,
  wantsType,
  withThreadLife,
} from "./event_filter.ts";
import { FollowedProcesses } from "./followed.ts";
import { ProcessIdentity } from "./identity.ts";
import { checkReceiveOptions, checkWatchOptions, type WatchProcessesOptions } from "./options.ts";
import { DEFAULT_FIELDS, type ProcessField, type ProcessInfoOptions } from "./info.ts";
import type { Stage } from "./pipeline.ts";
import { type CheckedProcessFilter, checkProcessFilter } from "./process_filter.ts";
import { Resync } from "./resync.ts";
import {
  filterStage,
  followedStage,
  resyncStage,
  snapshotStage,
  tableStage,
  threadStage,
  TreeSelection,
} from "./stages.ts";
import type { FilterPlacement } from "./stats.ts";
import { ProcessTable, type TableOptions } from "./table.ts";
import { ThreadGroups } from "./thread_group.ts";
import { ProcessTree } from "./tree.ts";
import { UsageAccounts } from "./usage.ts";
import { openWatch, type ProcessWatch } from "./watch.ts";

const ACTION = "watch processes";

/** What it takes to see a process end. */
const LIFE_EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit"];
/** What it takes to keep the table. */
const TABLE_EVENTS: readonly ProcessEventType[] = ["fork", "exec", "exit", "comm", "uid", "sid"];

/** What is received, and what becomes of it. */
interface Plan {
  readonly received: CheckedFilter;
  readonly stages: readonly Stage[];
  readonly placements: readonly FilterPlacement[];
  readonly eager: () => boolean;
}

/**
 * As {@linkcode watchProcesses}, on a given system.
 *
 * @param followsCgroup Whether control groups are also read at forks and exits, as a filter by them wants.
 */
export function openProcessWatch(
  system: System,
  options: WatchProcessesOptions = {},
  followsCgroup = false,
): ProcessWatch {
  const { signal } = options;
  signal?.throwIfAborted();
  const filter = checkFilter({ ...options, threads: options.threads ?? false }, ACTION);
  const byProcess = checkProcessFilter(options, system.libc, ACTION);
  const { heartbeatMs, ...receiving } = checkReceiveOptions(options, ACTION);
  const needsTable = (options.processInfo ?? false) !== false || options.snapshot === true ||
    options.descendantsOf !== undefined || byProcess !== undefined;
  const usage = options.usage === true && wantsType(filter, "exit")
    ? new UsageAccounts(system, ACTION)
    : undefined;
  const plan = needsTable
    ? planWithTable(system, options, filter, byProcess, usage, followsCgroup)
    : planWithoutTable(system, options, filter, usage);
  const { received, stages, placements, eager } = plan;
  const { processInfo } = options;
  const execWaitMs = typeof processInfo === "object" ? processInfo.execWaitMs ?? 0 : 0;
  return openWatch(system, {
    source: { ...receiving, filter: received, places: ["kernel", "bpf"], eager, execWaitMs },
    stages,
    placements,
    heartbeatMs,
    signal,
  });
}

/**
 * The plan of a watch that needs no table. It follows threads if that is needed to recognize the exits of processes, and
 * processes if they are chosen by pid.
 */
function planWithoutTable(
  system: System,
  options: WatchProcessesOptions,
  filter: CheckedFilter,
  usage: UsageAccounts | undefined,
): Plan {
  const { pids } = filter;
  const follows = pids !== undefined && options.pidReuse !== true;
  if (!follows && !wantsType(filter, "exit")) {
    return { received: filter, stages: [], placements: [], eager: () => false };
  }
  const procFs = new ProcFs(system.libc);
  const identity = new ProcessIdentity(procFs);
  const stages = [threadStage(new ThreadGroups(procFs, identity), filter, true)];
  addUsage(stages, usage);
  if (follows) stages.push(followedStage(new FollowedProcesses(procFs, identity), pids));
  if (filterParts(filter).length > 0) stages.push(filterStage(filter, undefined));
  return {
    received: withThreadLife(follows ? { ...withTypes(filter, LIFE_EVENTS), failedOnly: false } : filter),
    stages,
    placements: follows && filter.failedOnly ? [{ part: "exits", places: ["typescript"] }] : [],
    eager: () => false,
  };
}

/** The plan of a watch with a table, which needs the forks and exits of all processes. */
function planWithTable(
  system: System,
  options: WatchProcessesOptions,
  filter: CheckedFilter,
  byProcess: CheckedProcessFilter | undefined,
  usage: UsageAccounts | undefined,
  followsCgroup: boolean,
): Plan {
  const { descendantsOf, processInfo = false, snapshot = false } = options;
  const { pids } = filter;
  const isRelevant = (pid: number): boolean =>
    (pids === undefined || pids.has(pid)) && (selection === undefined || selection.has(pid));
  const table = new ProcessTable(
    system.libc,
    tableOptions(processInfo, byProcess?.fields ?? [], followsCgroup),
    isRelevant,
  );
  const resync = new Resync(table);
  const selection = descendantsOf === undefined
    ? undefined
    : new TreeSelection(new ProcessTree(checkPid(descendantsOf)), resync, table.procFs);
  const stages = [threadStage(table.groups, filter, false)];
  addUsage(stages, usage);
  if (selection !== undefined) stages.push(selection.mark);
  stages.push(tableStage(table, !snapshot), resyncStage(resync));
  if (selection !== undefined) stages.push(selection.select);
  if (snapshot) stages.push(snapshotStage(resync, (pid) => selection?.has(pid) ?? true));
  if (pids !== undefined && options.pidReuse !== true) {
    stages.push(followedStage(new FollowedProcesses(table.procFs, table.start), pids));
  }
  stages.push(filterStage(filter, byProcess));
  return {
    // Only the types can be chosen before the table.
    received: filter.mask === undefined
      ? ALL_EVENTS
      : withTypes({ ...ALL_EVENTS, mask: filter.mask }, TABLE_EVENTS),
    stages,
    placements: tablePlacements(filter, byProcess, selection !== undefined),
    eager: () => table.programs.commandLines.records === undefined,
  };
}

/** Puts the accounts of usage around the stage that distinguishes the exits of processes from those of threads. */
function addUsage(stages: Stage[], usage: UsageAccounts | undefined): void {
  if (usage === undefined) return;
  stages.unshift(usage.collect);
  stages.push(usage.attach);
}

/** The filter with more types of events. */
function withTypes(filter: CheckedFilter, types: readonly ProcessEventType[]): CheckedFilter {
  const { mask } = filter;
  if (mask === undefined) return filter;
  return { ...filter, mask: types.reduce((all, type) => all | PROCESS_EVENT_TYPES[type], mask) >>> 0 };
}

/** With a table, only the types are filtered before TypeScript. */
function tablePlacements(
  filter: CheckedFilter,
  byProcess: CheckedProcessFilter | undefined,
  byTree: boolean,
): FilterPlacement[] {
  const parts: { readonly part: string; readonly note?: string | undefined }[] = filterParts(filter)
    .filter((part) => part !== "events")
    .map((part) => ({ part }));
  if (byTree) parts.push({ part: "descendantsOf" });
  parts.push(...byProcess?.wanted ?? [], ...byProcess?.unwanted ?? []);
  return parts.map(({ part, note }): FilterPlacement =>
    note === undefined ? { part, places: ["typescript"] } : { part, places: ["typescript"], note }
  );
}

/** What was asked for, and what a choice of processes has to know. */
function tableOptions(
  processInfo: boolean | ProcessInfoOptions,
  needed: readonly ProcessField[],
  followsCgroup: boolean,
): TableOptions {
  const chosen = typeof processInfo === "boolean" ? {} : processInfo;
  const fields = [...new Set([...chosen.fields ?? DEFAULT_FIELDS, ...needed])];
  return { ...chosen, fields, followCgroup: followsCgroup || needed.includes("cgroup") };
}

function checkPid(pid: number): number {
  if (Number.isInteger(pid) && pid > 0 && pid < 2 ** 31) return pid;
  throw new TypeError(`Cannot ${ACTION}: ${pid} is no process id`);
}

/**
 * Watches the processes of this machine.
 *
 * Resolves once the kernel has acknowledged the subscription. Every event after that is in the stream, or counted in a
 * `lost` event. Needs no privilege from kernel 6.6 on, CAP_NET_ADMIN before.
 *
 * @throws {UnsupportedError} If the kernel, the namespace, the runtime or its permissions do not allow it: `reason` and the
 * message say which and what to do.
 * @throws {SyscallError} If a system call fails, as with EPERM before kernel 6.6.
 * @throws {TypeError} If an option has the wrong type, or asks for what does not exist or can never match.
 * @throws {ProcessGoneError} If the process `descendantsOf`, or one of `pids`, does not exist.
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
