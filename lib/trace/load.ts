import type { Trace, TraceProcess } from "./trace.ts";

/** How much ran at the same time. Each value holds from the time at its index to the next one. */
export interface Load {
  /** Nanoseconds since the beginning of the trace, ascending. */
  readonly timesNs: Float64Array;
  /** How many processes ran. */
  readonly running: Float64Array;
  /** How many of them worked: none of their children ran. */
  readonly working: Float64Array;
  /** How many processors were busy, if each process used its CPU time evenly. */
  readonly busy: Float64Array;
}

/** A process while it runs. */
interface Running {
  readonly process: TraceProcess;
  readonly parent: Running | undefined;
  /** How many of its children run. */
  children: number;
  ended: boolean;
}

/** What was computed before: several parts of a report want it. */
const known = new WeakMap<readonly TraceProcess[], Load>();

/** How much ran, over time. */
export function loadOf({ processes }: Pick<Trace, "processes">): Load {
  let load = known.get(processes);
  if (load === undefined) known.set(processes, load = computeLoad(processes));
  return load;
}

function computeLoad(processes: readonly TraceProcess[]): Load {
  const states = new Map<TraceProcess, Running>();
  const started: Running[] = [];
  // Parents come before their children; what took no time is nowhere.
  for (const process of processes) {
    if (!(process.endNs > process.startNs)) continue;
    const parent = process.parent === undefined ? undefined : states.get(process.parent);
    const state: Running = { process, parent, children: 0, ended: false };
    if (process.children.length > 0) states.set(process, state);
    started.push(state);
  }
  const ended = started.toSorted((a, b) => a.process.endNs - b.process.endNs);
  const load = new LoadBuilder(2 * started.length);
  let next = 0;
  for (const state of ended) {
    const { endNs } = state.process;
    // Who starts while another ends comes first: the parent of both has not worked meanwhile.
    while (next < started.length && started[next]!.process.startNs <= endNs) {
      const { process, parent } = started[next++]!;
      if (parent !== undefined && !parent.ended && parent.children++ === 0) load.working--;
      load.working++;
      load.running++;
      load.busy += busyOf(process);
      load.add(process.startNs);
    }
    const { parent } = state;
    state.ended = true;
    if (state.children === 0) load.working--;
    if (parent !== undefined && !parent.ended && --parent.children === 0) load.working++;
    load.running--;
    load.busy -= busyOf(state.process);
    load.add(endNs);
  }
  return load.build();
}

/** How many processors a process kept busy, as a mean. Of one that was there before, part of the CPU time is older. */
function busyOf({ startNs, endNs, usage, startUnknown }: TraceProcess): number {
  return usage === undefined || startUnknown ? 0 : usage.cpuNs / (endNs - startNs);
}

class LoadBuilder {
  running = 0;
  working = 0;
  busy = 0;
  #length = 0;
  readonly #columns: readonly [Float64Array, Float64Array, Float64Array, Float64Array];

  constructor(most: number) {
    const column = (): Float64Array => new Float64Array(most);
    this.#columns = [column(), column(), column(), column()];
  }

  /** Says that the numbers are these from a time on. */
  add(ns: number): void {
    const [times, running, working, busy] = this.#columns;
    if (this.#length === 0 || times[this.#length - 1] !== ns) times[this.#length++] = ns;
    const last = this.#length - 1;
    running[last] = this.running;
    working[last] = this.working;
    busy[last] = this.running === 0 ? 0 : Math.max(0, this.busy); // fractions do not add up to exactly 0
  }

  build(): Load {
    const [timesNs, running, working, busy] = this.#columns.map((column) =>
      column.subarray(0, this.#length)
    ) as [Float64Array, Float64Array, Float64Array, Float64Array];
    return { timesNs, running, working, busy };
  }
}
