import type { ProcFs } from "../../../procfs/process.ts";
import type { ProcessGroup } from "../../../processes/aggregate.ts";

/** How many processes are read at most in one look. */
const MAX_READS = 2000;
const TICKS_PER_SECOND = 100;

/** The processor time of a process when it was last read. */
interface Reading {
  readonly startTimeTicks: number;
  readonly cpuTicks: number;
}

/** The processor time that a group has used between two looks. */
export interface GroupCpu {
  /** In processors: 1 is all the time of one. */
  readonly processors: number;
  /** Whether it may have used more: some of its processes have ended meanwhile. */
  readonly atLeast: boolean;
}

/** Reads from /proc how much processor time running processes use. Of those that have ended nothing can be read. */
export class CpuSampler {
  readonly #procFs: ProcFs;
  #readings = new Map<number, Reading>();
  #lookedMs = -Infinity;
  /** How many processes had ended in each group. */
  #ended = new Map<ProcessGroup, number>();

  /** Reads through `procFs`. */
  constructor(procFs: ProcFs) {
    this.#procFs = procFs;
  }

  /**
   * Looks at the processes of some groups, and answers what these have used since the last look. Groups of which no
   * process could be read then and now are left out: their use is unknown.
   */
  look(
    members: Iterable<readonly [pid: number, group: ProcessGroup]>,
    groups: ReadonlySet<ProcessGroup>,
    nowMs: number,
  ): ReadonlyMap<ProcessGroup, GroupCpu> {
    const seconds = (nowMs - this.#lookedMs) / 1000;
    const readings = new Map<number, Reading>();
    const ticks = new Map<ProcessGroup, number>();
    for (const [pid, group] of members) {
      if (!groups.has(group)) continue;
      if (readings.size >= MAX_READS) break;
      const stat = this.#procFs.stat(pid);
      if (stat === undefined) continue;
      readings.set(pid, stat);
      const before = this.#readings.get(pid);
      if (before?.startTimeTicks !== stat.startTimeTicks) continue;
      ticks.set(group, (ticks.get(group) ?? 0) + stat.cpuTicks - before.cpuTicks);
    }
    const cpu = new Map<ProcessGroup, GroupCpu>();
    for (const [group, sum] of ticks) {
      const atLeast = (this.#ended.get(group) ?? group.ended) !== group.ended;
      cpu.set(group, { processors: sum / TICKS_PER_SECOND / seconds, atLeast });
    }
    this.#readings = readings;
    this.#lookedMs = nowMs;
    this.#ended = new Map([...groups].map((group) => [group, group.ended]));
    return cpu;
  }
}
