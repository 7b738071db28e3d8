import type { ProcessEventType } from "./constants.ts";
import { DurationSketch } from "./duration_sketch.ts";
import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent } from "./event.ts";
import { mayBeStart, SETTLED_NS } from "./identity.ts";
import type { ProcessField, ProcessInfo } from "./info.ts";
import { LossSum } from "./loss_sum.ts";
import type { ProcessUsage } from "./usage.ts";

/**
 * What processes can be grouped by: the name of their program (all kernel threads of a kind are one: `[kworker]`), the
 * name of the program that created them, their real user, or their control group.
 */
export const AGGREGATE_BY = ["program", "parent", "user", "cgroup"] as const;

/** One of them. */
export type AggregateBy = typeof AGGREGATE_BY[number];

/** What must be read of each process for a grouping. */
export const AGGREGATE_FIELDS: Readonly<Record<AggregateBy, readonly ProcessField[]>> = {
  program: [],
  parent: [],
  user: ["user"],
  cgroup: ["cgroup"],
};

/** How many groups have a line of their own by default. */
const MAX_GROUPS = 1000;

/** The upper limits of the classes in which lifetimes are counted, in seconds. What lasted longer is in none. */
export const LIFETIME_LIMITS_S: readonly number[] = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600];

/** What the processes of a group have done. */
export interface ProcessGroup {
  /** The name of the group: a program, a user's number, a control group. Undefined if it is unknown. */
  readonly name: string | undefined;
  /** Whether these are all the groups together that have no line of their own. */
  readonly isOther: boolean;
  /** Processes that are running now. */
  readonly running: number;
  /**
   * Processes that have started. Among programs: how often the program was started, by exec or as a child that executes
   * nothing else.
   */
  readonly starts: number;
  /** Processes that have ended. */
  readonly ended: number;
  /** Those that ended with a code other than 0, or by a signal. */
  readonly failed: number;
  /** Those of which the status is unknown, as their exit event was lost. */
  readonly unknownStatus: number;
  /** Those that wrote a core. */
  readonly coreDumps: number;
  /** How many failed with each code or signal: `"1"`, `"SIGKILL"`. */
  readonly failures: ReadonlyMap<string, number>;
  /** Those of which is known what they have used, and the processor time of these, in nanoseconds. */
  readonly measured: number;
  readonly cpuNs: number;
  /** The lifetimes of the processes that have ended, from fork to exit. */
  readonly lifetimes: DurationSketch;
  /** The same in classes, by {@linkcode LIFETIME_LIMITS_S}: how many did not last longer than each limit, but than the one before. */
  readonly lifetimeCounts: readonly number[];
  /** The sum of the lifetimes, in nanoseconds. */
  readonly lifetimeSumNs: number;
  /** What those have used that have ended, as far as it is known. */
  readonly used: GroupUsage;
  /** When the last one ended; undefined if none has. */
  readonly lastEndNs: bigint | undefined;
  /** When the last one ended with code 0. */
  readonly lastSuccessNs: bigint | undefined;
  /** Events by type; a fork counts for the group of the parent. */
  readonly events: Readonly<Record<ProcessEventType, number>>;
}

/** Sums over the processes of a group that have ended; in a watch with `usage`. */
interface GroupUsage {
  /** CPU time, in nanoseconds. */
  readonly cpuNs: number;
  /** The most memory that one of them had resident, in bytes. */
  readonly peakRssBytes: number;
  /** Read from storage, in bytes. */
  readonly readBytes: number;
  /** Written to storage, in bytes. */
  readonly writeBytes: number;
  /** Of how many processes it is known. */
  readonly processes: number;
}

/** A group that counts. */
class Group implements ProcessGroup {
  running = 0;
  starts = 0;
  ended = 0;
  failed = 0;
  unknownStatus = 0;
  coreDumps = 0;
  measured = 0;
  cpuNs = 0;
  readonly failures: Map<string, number> = new Map();
  readonly lifetimes: DurationSketch = new DurationSketch();
  readonly lifetimeCounts: number[] = LIFETIME_LIMITS_S.map(() => 0);
  lifetimeSumNs = 0;
  used = { cpuNs: 0, peakRssBytes: 0, readBytes: 0, writeBytes: 0, processes: 0 };
  lastEndNs: bigint | undefined;
  lastSuccessNs: bigint | undefined;
  readonly events: Record<ProcessEventType, number> = {
    fork: 0,
    exec: 0,
    uid: 0,
    gid: 0,
    sid: 0,
    ptrace: 0,
    comm: 0,
    coredump: 0,
    exit: 0,
  };
  readonly name: string | undefined;
  readonly isOther: boolean;

  constructor(name: string | undefined, isOther: boolean) {
    this.name = name;
    this.isOther = isOther;
  }

  /** Adds what a process that has ended has used. */
  addUsage({ cpuNs, peakRssBytes, readBytes, writeBytes }: ProcessUsage): void {
    const { used } = this;
    used.cpuNs += cpuNs;
    used.peakRssBytes = Math.max(used.peakRssBytes, peakRssBytes);
    used.readBytes += readBytes;
    used.writeBytes += writeBytes;
    used.processes++;
  }

  /** Adds how long a process lasted that has ended. */
  addLifetime(ns: number): void {
    this.lifetimes.add(ns);
    this.lifetimeSumNs += Math.max(ns, 0);
    const at = LIFETIME_LIMITS_S.findIndex((limit) => ns <= limit * 1e9);
    if (at >= 0) this.lifetimeCounts[at]!++;
  }
}

/** A running process. */
interface Member {
  group: Group;
  readonly startNs: bigint | undefined;
  /** Whether it was there before, counts as started, or will, once it has shown what it executes. */
  start: "existed" | "counted" | "pending";
}

/**
 * Sums up what processes do, in groups. It takes the events of a watch with `processInfo` and `snapshot`, without
 * threads. Its memory is bounded by the number of running processes and by `maxGroups`; later groups are counted together
 * as `other`, so that totals stay right.
 */
export class ProcessAggregate {
  readonly #by: AggregateBy;
  readonly #maxGroups: number;
  readonly #nameOf: (process: ProcessInfo) => string | undefined;
  readonly #groups = new Map<string | undefined, Group>();
  readonly #other = new Group(undefined, true);
  readonly #members = new Map<number, Member>();
  /** Children that may yet execute a program, oldest first, with the time of their fork. */
  readonly #unsettled = new Map<number, bigint>();
  /** The time of the first event: what started before was there already. */
  #sinceNs: bigint | undefined;
  /** What was lost on the way here. */
  readonly losses: LossSum = new LossSum();

  /**
   * Groups by `by`, of which at most `maxGroups` are kept apart.
   *
   * @param nameOf Gives a process the name of its group, instead.
   */
  constructor(
    by: AggregateBy,
    maxGroups: number = MAX_GROUPS,
    nameOf: (process: ProcessInfo) => string | undefined = (process) => groupNameOf(process, by),
  ) {
    this.#by = by;
    this.#maxGroups = maxGroups;
    this.#nameOf = nameOf;
  }

  /** Makes a group that is there before any of its processes. */
  expect(name: string): void {
    if (!this.#groups.has(name)) this.#groups.set(name, new Group(name, false));
  }

  /** How many processes are running. */
  get running(): number {
    return this.#members.size;
  }

  /** The groups, in the order in which they were first seen; last the others together, if there are any. */
  groups(): ProcessGroup[] {
    const groups: ProcessGroup[] = [...this.#groups.values()];
    if (this.hasOther) groups.push(this.#other);
    return groups;
  }

  /** Whether there were more groups than are kept apart. */
  get hasOther(): boolean {
    return this.#groups.size >= this.#maxGroups && (this.#other.running > 0 || this.#hasEvents(this.#other));
  }

  /** The running processes, each with its group. */
  *members(): IterableIterator<readonly [pid: number, group: ProcessGroup]> {
    for (const [pid, { group }] of this.#members) yield [pid, group];
  }

  /** Adds events, in the order of the watch. */
  apply(batch: readonly ProcessEvent[]): void {
    for (const event of batch) this.#apply(event);
    const last = batch.at(-1);
    if (last !== undefined) this.settle(last.timestampNs);
  }

  /** Counts those children as started that have executed nothing for a second before `nowNs`. */
  settle(nowNs: bigint): void {
    for (const [pid, forkNs] of this.#unsettled) {
      if (nowNs - forkNs < SETTLED_NS) return;
      this.#countStart(pid, this.#members.get(pid)!);
    }
  }

  #apply(event: ProcessEvent): void {
    this.#sinceNs ??= event.timestampNs;
    switch (event.type) {
      case "lost":
        return this.losses.add(event);
      case "unknown":
        return;
      case "fork":
        if (!event.thread) this.#fork(event);
        return;
      case "exec":
        return this.#exec(event);
      case "exit":
        if (!event.thread) this.#exit(event);
        return;
      default: {
        const member = this.#memberOf(event);
        member.group.events[event.type]++;
        // Only these change the group of a process.
        if (event.type === "comm" || event.type === "uid") this.#regroup(member, event.process);
      }
    }
  }

  #fork(event: ForkEvent): void {
    const { pid, parentPid, process, timestampNs } = event;
    const isSnapshot = this.#isSnapshot(event);
    const parent = isSnapshot ? undefined : this.#members.get(parentPid);
    if (parent !== undefined) parent.group.events.fork++;
    let member = this.#members.get(pid);
    if (member !== undefined && !mayBeStart(member.startNs, timestampNs)) {
      this.#remove(pid, member); // its exit was lost, and the pid reused
      member = undefined;
    }
    const startNs = process?.startNs ?? timestampNs;
    if (member === undefined) {
      member = { group: this.#groupOf(process), startNs, start: "existed" };
      this.#add(pid, member);
    }
    // One that was found in /proc before its event came has started after all.
    if (isSnapshot || startNs < this.#sinceNs! || member.start !== "existed") return;
    if (this.#by !== "program") return this.#countStart(pid, member);
    member.start = "pending";
    this.#unsettled.set(pid, timestampNs);
  }

  #exec(event: ExecEvent): void {
    const { pid } = event;
    const member = this.#memberOf(event);
    this.#regroup(member, event.process);
    if (this.#isSnapshot(event)) return;
    member.group.events.exec++;
    if (this.#by === "program") this.#countStart(pid, member);
  }

  #exit(event: ExitEvent): void {
    const { pid, process } = event;
    const member = this.#memberOf(event);
    const { group } = member;
    if (member.start === "pending") this.#countStart(pid, member);
    this.#members.delete(pid);
    group.running--;
    group.ended++;
    group.events.exit++;
    group.lastEndNs = event.timestampNs;
    if (event.usage !== undefined) group.addUsage(event.usage);
    if (event.status === null) group.unknownStatus++;
    else if (event.status === 0) group.lastSuccessNs = event.timestampNs;
    else {
      const how = event.signal ?? String(event.exitCode);
      group.failed++;
      group.failures.set(how, (group.failures.get(how) ?? 0) + 1);
      if (event.coreDumped) group.coreDumps++;
    }
    if (event.usage !== undefined) {
      group.measured++;
      group.cpuNs += event.usage.cpuNs;
    }
    const startNs = process?.startNs ?? member.startNs;
    // The end of one whose exit event was lost is not known.
    if (startNs !== undefined && event.synthetic !== true) {
      group.addLifetime(Number(event.timestampNs - startNs));
    }
  }

  /** Whether an event shows what existed when the watch was opened. */
  #isSnapshot(event: ForkEvent | ExecEvent): boolean {
    return event.synthetic === true && event.timestampNs <= this.#sinceNs!;
  }

  /** The process of an event; one that was not known existed before. */
  #memberOf({ pid, process }: { readonly pid: number; readonly process?: ProcessInfo | undefined }): Member {
    let member = this.#members.get(pid);
    if (member === undefined) {
      member = { group: this.#groupOf(process), startNs: process?.startNs, start: "existed" };
      this.#add(pid, member);
    }
    return member;
  }

  #add(pid: number, member: Member): void {
    this.#members.set(pid, member);
    member.group.running++;
  }

  /** Takes out a process of which the end was not seen. */
  #remove(pid: number, { group }: Member): void {
    this.#members.delete(pid);
    this.#unsettled.delete(pid);
    group.running--;
    group.ended++;
    group.unknownStatus++;
  }

  #countStart(pid: number, member: Member): void {
    member.start = "counted";
    member.group.starts++;
    this.#unsettled.delete(pid);
  }

  #regroup(member: Member, process: ProcessInfo | undefined): void {
    const group = this.#groupOf(process);
    if (group === member.group) return;
    member.group.running--;
    member.group = group;
    group.running++;
  }

  #groupOf(process: ProcessInfo | undefined): Group {
    const name = process === undefined ? undefined : this.#nameOf(process);
    let group = this.#groups.get(name);
    if (group === undefined) {
      if (this.#groups.size >= this.#maxGroups) return this.#other;
      group = new Group(name, false);
      this.#groups.set(name, group);
    }
    return group;
  }

  #hasEvents({ events, starts, ended }: Group): boolean {
    return starts > 0 || ended > 0 || Object.values(events).some((count) => count > 0);
  }
}

/** The name of the group of a process. */
export function groupNameOf(process: ProcessInfo, by: AggregateBy): string | undefined {
  switch (by) {
    case "program":
      return process.kernelThread ? kernelThreadKind(process.comm) : process.comm;
    case "parent":
      return process.parentComm;
    case "user":
      return process.uid === undefined ? undefined : String(process.uid);
    case "cgroup":
      return process.cgroup;
  }
}

/** `[kworker]` for `kworker/0:1-events`: their names change all the time. */
function kernelThreadKind(comm: string | undefined): string | undefined {
  if (comm === undefined) return undefined;
  const slash = comm.indexOf("/");
  return `[${slash > 0 ? comm.slice(0, slash) : comm}]`;
}
