import type { Trace, TraceProcess } from "./trace.ts";

/** A row of processes that do not overlap, below the row of their parents. */
export interface Lane {
  /** Undefined if its processes have no parent in the trace. */
  readonly parent: Lane | undefined;
  /** How many lanes are above it: its parent, the parent's parent, and so on. */
  readonly depth: number;
  /** The lanes of its processes' children. */
  readonly children: Lane[];
  /** In the order of their start. */
  readonly processes: TraceProcess[];
}

/**
 * Places processes in lanes: each in the first below its parent's in which nothing runs any more, neither a process nor a
 * descendant of one. So there are as many lanes as processes ran at the same time, however many there were.
 *
 * @param shown Which processes are placed; all unless given. A process's parent must be shown with it.
 * @returns The lanes from top to bottom, each above those of its children.
 */
export function layOut(
  { processes }: Pick<Trace, "processes">,
  shown: (process: TraceProcess) => boolean = () => true,
): readonly Lane[] {
  const ends = subtreeEnds(processes);
  const roots = new Lanes(undefined);
  const below = new Map<Lane, Lanes>();
  const laneOf = new Map<TraceProcess, Lane>();
  // Parents come before their children.
  for (const process of processes) {
    if (!shown(process)) continue;
    const parent = process.parent === undefined ? undefined : laneOf.get(process.parent);
    let lanes = parent === undefined ? roots : below.get(parent);
    if (lanes === undefined) below.set(parent!, lanes = new Lanes(parent));
    const lane = lanes.take(process.startNs, ends.get(process)!);
    lane.processes.push(process);
    laneOf.set(process, lane);
  }
  return fromTop(roots.all);
}

/** Lanes and all that are below them. Without recursion: a chain of parents may be long. */
function fromTop(roots: readonly Lane[]): Lane[] {
  const lanes: Lane[] = [];
  const stack = roots.toReversed();
  for (let lane = stack.pop(); lane !== undefined; lane = stack.pop()) {
    lanes.push(lane);
    for (let i = lane.children.length - 1; i >= 0; i--) stack.push(lane.children[i]!);
  }
  return lanes;
}

/** When each process and all of its descendants had ended. */
function subtreeEnds(processes: readonly TraceProcess[]): Map<TraceProcess, number> {
  const ends = new Map<TraceProcess, number>();
  // Children come after their parents.
  for (const process of processes.toReversed()) {
    const end = Math.max(ends.get(process) ?? 0, process.endNs);
    ends.set(process, end);
    const { parent } = process;
    if (parent !== undefined) ends.set(parent, Math.max(ends.get(parent) ?? 0, end));
  }
  return ends;
}

/** The lanes below one. Two heaps, because a linear search would take minutes if 100,000 processes ran at once. */
class Lanes {
  readonly all: Lane[];
  readonly #parent: Lane | undefined;
  /** Numbers of lanes, by the time from which they are free. */
  readonly #taken = new Heap();
  /** Numbers of lanes that are free now, the first one first. */
  readonly #free = new Heap();

  constructor(parent: Lane | undefined) {
    this.#parent = parent;
    this.all = parent?.children ?? [];
  }

  /** A lane that is free at a time, which no call may go back behind; it is taken until `untilNs`. */
  take(atNs: number, untilNs: number): Lane {
    while (this.#taken.least <= atNs) {
      const number = this.#taken.pop();
      this.#free.push(number, number);
    }
    const number = this.#free.least < Infinity ? this.#free.pop() : this.all.length;
    this.#taken.push(untilNs, number);
    const parent = this.#parent;
    const depth = parent === undefined ? 0 : parent.depth + 1;
    return this.all[number] ??= { parent, depth, children: [], processes: [] };
  }
}

/** Numbers, of which the one with the least key is taken first. */
class Heap {
  readonly #items: { readonly key: number; readonly value: number }[] = [];

  /** The least key; Infinity if it is empty. */
  get least(): number {
    return this.#items[0]?.key ?? Infinity;
  }

  push(key: number, value: number): void {
    const items = this.#items;
    let i = items.length;
    for (let up = (i - 1) >> 1; i > 0 && items[up]!.key > key; up = (i - 1) >> 1) {
      items[i] = items[up]!;
      i = up;
    }
    items[i] = { key, value };
  }

  /** Takes the one with the least key; it must not be empty. */
  pop(): number {
    const items = this.#items;
    const { value } = items[0]!;
    const last = items.pop()!;
    if (items.length === 0) return value;
    let i = 0;
    for (;;) {
      let down = 2 * i + 1;
      if (down >= items.length) break;
      if (down + 1 < items.length && items[down + 1]!.key < items[down]!.key) down++;
      if (items[down]!.key >= last.key) break;
      items[i] = items[down]!;
      i = down;
    }
    items[i] = last;
    return value;
  }
}
