import type { ProcFs } from "../../../procfs/process.ts";
import type { ProcessGroup } from "../../../processes/aggregate.ts";

/** How many processes are read at most in one look. */
const MAX_READS = 2000;
const TICKS_PER_SECOND = 100;
const NS_PER_TICK = 1e9 / TICKS_PER_SECOND;
/** A process that used nothing in so many looks is idle: most are, and to read them all is most of the work. */
const IDLE_LOOKS = 2;
/** In how many looks an idle process is read once. */
const LOOKS_PER_IDLE_READ = 4;

/** The processor time of a process when it was last read, and the group that it was in. */
interface Reading {
  readonly startTimeTicks: number;
  readonly cpuTicks: number;
  readonly group: ProcessGroup;
  readonly readMs: number;
  /** How often it had used nothing since the reading before. */
  readonly idle: number;
}

/** What had ended in a group at the last look. */
type Ended = Pick<ProcessGroup, "ended" | "measured" | "cpuNs">;

/** The processor time that a group has used between two looks. */
export interface GroupCpu {
  /** In processors: 1 is all the time of one. */
  readonly processors: number;
  /** Whether it may have used more: some of its processes have ended meanwhile. */
  readonly atLeast: boolean;
}

/**
 * Reads from /proc how much processor time running processes use. Of those that have ended nothing can be read; a watch
 * with `usage` knows it.
 */
export class CpuSampler {
  readonly #procFs: ProcFs;
  #readings = new Map<number, Reading>();
  #lookedMs = -Infinity;
  #looks = 0;
  #ended = new Map<ProcessGroup, Ended>();

  /** Reads through `procFs`. */
  constructor(procFs: ProcFs) {
    this.#procFs = procFs;
  }

  /**
   * Looks at the processes of some groups, and answers what these have used since the last look. Groups of which no
   * process could be read then and now are left out: their use is unknown. An idle process is read in every fourth look;
   * what it has used then is spread over these.
   */
  look(
    members: Iterable<readonly [pid: number, group: ProcessGroup]>,
    groups: ReadonlySet<ProcessGroup>,
    nowMs: number,
  ): ReadonlyMap<ProcessGroup, GroupCpu> {
    const seconds = (nowMs - this.#lookedMs) / 1000;
    const readings = new Map<number, Reading>();
    const ticks = new Map<ProcessGroup, number>();
    const add = (group: ProcessGroup, more: number): void =>
      void ticks.set(group, (ticks.get(group) ?? 0) + more);
    const before = new Map(this.#readings);
    this.#looks++;
    for (const [pid, group] of members) {
      const last = before.get(pid);
      if (!groups.has(group) || readings.size >= MAX_READS) {
        before.delete(pid);
        continue;
      }
      if (last !== undefined && last.idle >= IDLE_LOOKS && (this.#looks + pid) % LOOKS_PER_IDLE_READ !== 0) {
        before.delete(pid);
        readings.set(pid, last);
        add(group, 0);
        continue;
      }
      const stat = this.#procFs.stat(pid);
      if (stat === undefined) {
        // Its end is still to come.
        if (last !== undefined && before.delete(pid)) readings.set(pid, last);
        continue;
      }
      const { startTimeTicks, cpuTicks } = stat;
      const isSame = last?.startTimeTicks === startTimeTicks;
      const used = isSame ? cpuTicks - last.cpuTicks : 0;
      const idle = isSame && used === 0 ? last.idle + 1 : 0;
      readings.set(pid, { startTimeTicks, cpuTicks, group, readMs: nowMs, idle });
      if (!isSame) continue;
      before.delete(pid);
      add(group, used * (nowMs - this.#lookedMs) / (nowMs - last.readMs));
    }
    for (const group of groups) {
      const last = this.#ended.get(group);
      if (last !== undefined && group.measured > last.measured) {
        add(group, (group.cpuNs - last.cpuNs) / NS_PER_TICK);
      }
    }
    // What is left has ended; what it had used at the last look was counted before.
    for (const { group, cpuTicks } of before.values()) {
      if (group.measured > (this.#ended.get(group)?.measured ?? Infinity)) add(group, -cpuTicks);
    }
    const cpu = new Map<ProcessGroup, GroupCpu>();
    for (const [group, sum] of ticks) {
      const last = this.#ended.get(group) ?? group;
      const atLeast = group.ended - last.ended !== group.measured - last.measured;
      cpu.set(group, { processors: Math.max(sum, 0) / TICKS_PER_SECOND / seconds, atLeast });
    }
    this.#readings = readings;
    this.#lookedMs = nowMs;
    this.#ended = new Map(
      [...groups].map((group) => {
        const { ended, measured, cpuNs } = group;
        return [group, { ended, measured, cpuNs }];
      }),
    );
    return cpu;
  }
}
