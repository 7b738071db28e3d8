import { layOut } from "../lanes.ts";
import { hasFailed, type Trace, type TraceProcess } from "../trace.ts";

/** A lane as it is drawn: its processes in the order of time, and sums that say at once what is between two of them. */
export interface Row {
  readonly depth: number;
  readonly processes: readonly TraceProcess[];
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  /** How many of the first processes have failed, by their number. */
  readonly failed: Uint32Array;
  /** How many of them match the search. */
  readonly matched: Uint32Array;
}

/** The rows of all processes that lived that long, and of those that such a one descends from. */
export function rowsOf(trace: Trace, leastNs: number): Row[] {
  let kept: Set<TraceProcess> | undefined;
  if (leastNs > 0) {
    kept = new Set();
    for (const process of trace.processes.toReversed()) {
      if (process.endNs - process.startNs >= leastNs) kept.add(process);
      if (kept.has(process) && process.parent !== undefined) kept.add(process.parent);
    }
  }
  return layOut(trace, (process) => kept?.has(process) ?? true).map(({ depth, processes }) => ({
    depth,
    processes,
    starts: Float64Array.from(processes, ({ startNs }) => startNs),
    ends: Float64Array.from(processes, ({ endNs }) => endNs),
    failed: countsBefore(processes, hasFailed),
    matched: new Uint32Array(processes.length + 1),
  }));
}

/** Marks what matches a search. */
export function mark(rows: readonly Row[], matches: (process: TraceProcess) => boolean): void {
  for (const { processes, matched } of rows) matched.set(countsBefore(processes, matches));
}

function countsBefore(
  processes: readonly TraceProcess[],
  counts: (process: TraceProcess) => boolean,
): Uint32Array {
  const sums = new Uint32Array(processes.length + 1);
  for (let i = 0; i < processes.length; i++) sums[i + 1] = sums[i]! + (counts(processes[i]!) ? 1 : 0);
  return sums;
}

/** The first index from `from` at which an ascending array is greater than a value. */
export function firstAbove(values: ArrayLike<number>, value: number, from = 0): number {
  let [low, high] = [from, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The process of a row at a time, or the nearest one that is at most `withinNs` away. */
export function processAt(
  { processes, starts, ends }: Row,
  ns: number,
  withinNs: number,
): TraceProcess | undefined {
  const next = firstAbove(ends, ns);
  const away = (i: number): number =>
    i < 0 || i >= processes.length ? Infinity : Math.max(starts[i]! - ns, ns - ends[i]!, 0);
  const nearest = away(next) <= away(next - 1) ? next : next - 1;
  return away(nearest) <= withinNs ? processes[nearest] : undefined;
}

/** A part of a row: one process, or several that are too short to be seen each. */
export type Drawn = (x0: number, x1: number, first: number, end: number) => void;

/** The visible time, and how it becomes pixels. */
export interface Scale {
  readonly fromNs: number;
  readonly toNs: number;
  readonly width: number;
  x(ns: number): number;
  ns(x: number): number;
}

/** Calls `draw` for what of a row is visible: at most once for each pixel, however many processes there are. */
export function forEachVisible(
  { starts, ends }: Row,
  view: Scale,
  draw: Drawn,
): void {
  const nsPerPixel = (view.toNs - view.fromNs) / view.width;
  const isWide = (i: number): boolean => ends[i]! - starts[i]! >= 1.5 * nsPerPixel;
  let i = firstAbove(ends, view.fromNs);
  while (i < starts.length && starts[i]! < view.toNs) {
    const first = i;
    const x0 = view.x(starts[first]!);
    if (isWide(i)) {
      i++;
      draw(x0, view.x(ends[first]!), first, i);
      continue;
    }
    let pixel = Math.floor(x0);
    do {
      // All that begin in this pixel; only the last of them can be wide.
      i = firstAbove(starts, view.fromNs + (pixel + 1) * nsPerPixel, i + 1);
      if (isWide(i - 1)) i--;
      pixel = Math.max(pixel + 1, Math.floor(view.x(ends[i - 1]!)));
    } while (i < starts.length && !isWide(i) && view.x(starts[i]!) < pixel + 1 && pixel < view.width);
    draw(Math.floor(x0), pixel, first, i);
  }
}

/** Calls `draw` with each pixel in which a process begins that is counted, out of those from `first` to before `end`. */
export function forEachCounted(
  starts: Float64Array,
  counts: Uint32Array,
  view: Scale,
  first: number,
  end: number,
  draw: (x: number) => void,
): void {
  for (let i = first; i < end;) {
    const next = firstAbove(counts, counts[i]!, i) - 1;
    if (next >= end) return;
    const x = Math.floor(view.x(starts[next]!));
    draw(x);
    i = firstAbove(starts, view.ns(x + 1), next + 1);
  }
}
