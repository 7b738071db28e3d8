import type { Trace } from "./trace.ts";

/** How much ran at the same time. Each value holds from the time at its index to the next one. */
export interface Load {
  /** Nanoseconds since the beginning of the trace, ascending. */
  readonly timesNs: readonly number[];
  /** How many processes ran. */
  readonly running: readonly number[];
  /** How many of them worked: none of their children ran. */
  readonly working: readonly number[];
  /** How many processors were busy, if each process used its CPU time evenly. */
  readonly busy: readonly number[];
}

/** How much ran, over time. */
export function loadOf({ processes }: Pick<Trace, "processes">): Load {
  const times: number[] = [];
  /** By which running, working and busy change then. */
  const changes: readonly [number[], number[], number[]] = [[], [], []];
  const add = (fromNs: number, toNs: number, ...values: readonly [number, number, number]): void => {
    if (!(toNs > fromNs)) return;
    times.push(fromNs, toNs);
    for (let i = 0; i < values.length; i++) changes[i]!.push(values[i]!, -values[i]!);
  };
  for (const { startNs, endNs, children, usage, startUnknown } of processes) {
    // Of one that was there before, part of the CPU time was used before, too.
    const cpuNs = usage === undefined || startUnknown ? 0 : usage.cpuNs;
    add(startNs, endNs, 1, 0, cpuNs / (endNs - startNs));
    let waitsUntilNs = startNs;
    for (const child of children) {
      add(waitsUntilNs, Math.min(child.startNs, endNs), 0, 1, 0);
      waitsUntilNs = Math.max(waitsUntilNs, child.endNs);
    }
    add(waitsUntilNs, endNs, 0, 1, 0);
  }
  const order = Uint32Array.from(times, (_, i) => i).sort((a, b) => times[a]! - times[b]!);
  const timesNs: number[] = [];
  const [running, working, busy]: readonly [number[], number[], number[]] = [[], [], []];
  const sums: [number, number, number] = [0, 0, 0];
  for (const i of order) {
    for (let k = 0; k < sums.length; k++) sums[k]! += changes[k]![i]!;
    if (timesNs.at(-1) !== times[i]) timesNs.push(times[i]!);
    const last = timesNs.length - 1;
    running[last] = sums[0];
    working[last] = sums[1];
    busy[last] = sums[0] === 0 ? 0 : Math.max(0, sums[2]); // fractions do not add up to exactly 0
  }
  return { timesNs, running, working, busy };
}
