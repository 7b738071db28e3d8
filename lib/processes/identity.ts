import type { ProcessInfo } from "./info.ts";
import type { ProcFs } from "../procfs/process.ts";
import type { ProcStat } from "../procfs/text.ts";

const NS_PER_TICK = 10_000_000n;
/** The same process has the same start in an event and in /proc but for rounding and an interrupted fork. */
export const SAME_START_TICKS: number = 10;
/** As {@linkcode SAME_START_TICKS}, in nanoseconds. */
export const SAME_START_NS: bigint = BigInt(SAME_START_TICKS) * NS_PER_TICK;
/** A child that has not executed a program for this long is taken for one that does what its parent does. */
export const SETTLED_NS = 1_000_000_000n;

/** Whether a fork at `forkNs` may be the start of a process that was found before its event came; otherwise its pid is reused. */
export function mayBeStart(startNs: bigint | undefined, forkNs: bigint): boolean {
  return startNs !== undefined && forkNs - startNs <= SAME_START_NS;
}

/**
 * Compares start times to decide whether a process in /proc, in the table and in an event is the same: pids are reused.
 * /proc counts in ticks of CLOCK_BOOTTIME, events in nanoseconds of CLOCK_MONOTONIC.
 */
export class ProcessIdentity {
  readonly #procFs: ProcFs;
  #bootOffsetNs: bigint | undefined;

  constructor(procFs: ProcFs) {
    this.#procFs = procFs;
  }

  /** To be called now and then: the machine may have been suspended, and CLOCK_BOOTTIME alone went on. */
  measureAgain(): void {
    this.#bootOffsetNs = undefined;
  }

  /** When a process started, by the clock of the events. */
  ofStat(stat: ProcStat): bigint {
    return BigInt(stat.startTimeTicks) * NS_PER_TICK - this.#bootOffset();
  }

  /** Whether the process in /proc is the one in the table, not a later one with its number. */
  isSame(info: ProcessInfo, stat: ProcStat): boolean {
    if (info.startTimeTicks !== undefined) return info.startTimeTicks === stat.startTimeTicks;
    if (info.startNs === undefined) return true; // nothing is known that could differ
    // The machine may have been suspended since, and CLOCK_BOOTTIME alone went on.
    const latest = Number((info.startNs + this.#bootOffset()) / NS_PER_TICK) + SAME_START_TICKS;
    const earliest = Number(info.startNs / NS_PER_TICK) - SAME_START_TICKS;
    return stat.startTimeTicks >= earliest && stat.startTimeTicks <= latest;
  }

  /** Whether the process in /proc is that of an event: it was there when the event happened. */
  isOfEvent(stat: ProcStat, info: ProcessInfo, eventNs: bigint): boolean {
    if (info.startTimeTicks !== undefined) return stat.startTimeTicks === info.startTimeTicks;
    return stat.startTimeTicks <= Number((eventNs + this.#bootOffset()) / NS_PER_TICK) + 1;
  }

  /** Whether a fork at `forkNs` is the start of this process, which was read from /proc before the event came. */
  isFork(info: ProcessInfo, forkNs: bigint): boolean {
    if (info.startFrom !== "proc" || info.startNs === undefined) return false;
    const difference = info.startNs - forkNs;
    return difference < SAME_START_NS && difference > -SAME_START_NS;
  }

  #bootOffset(): bigint {
    return this.#bootOffsetNs ??= this.#procFs.bootOffsetNs();
  }
}
