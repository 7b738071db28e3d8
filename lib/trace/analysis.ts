import { loadOf } from "./load.ts";
import { hasFailed, lastImage, programName, type Trace, type TraceProcess } from "./trace.ts";

/** What was summed up of all processes that ended as the same program. */
export interface ProgramSum {
  /** The last part of its path; in parentheses if its processes were forked and executed nothing. */
  readonly name: string;
  /** How many processes. */
  runs: number;
  /** How many of them failed. */
  failed: number;
  /** The sum of their lifetimes, in nanoseconds. */
  totalNs: number;
  /** The longest lifetime, in nanoseconds. */
  longestNs: number;
  /** Time on processors, in nanoseconds, of those whose usage is known; undefined if it is known of none. */
  cpuNs: number | undefined;
  /** The most memory that one of them had, in bytes; undefined if it is known of none. */
  peakRssBytes: number | undefined;
  /** Whether events were lost while one of them ran: the numbers may be wrong. */
  uncertain: boolean;
}

/** Sums by program, the one with the longest total first. */
export function sumByProgram({ processes }: Trace): ProgramSum[] {
  const sums = new Map<string, ProgramSum>();
  for (const process of processes) {
    const name = programName(lastImage(process));
    let sum = sums.get(name);
    if (sum === undefined) {
      sum = {
        name,
        runs: 0,
        failed: 0,
        totalNs: 0,
        longestNs: 0,
        cpuNs: undefined,
        peakRssBytes: undefined,
        uncertain: false,
      };
      sums.set(name, sum);
    }
    const lifeNs = process.endNs - process.startNs;
    sum.runs++;
    if (hasFailed(process)) sum.failed++;
    sum.uncertain ||= process.uncertain;
    sum.totalNs += lifeNs;
    sum.longestNs = Math.max(sum.longestNs, lifeNs);
    if (process.usage === undefined) continue;
    sum.cpuNs = (sum.cpuNs ?? 0) + process.usage.cpuNs;
    sum.peakRssBytes = Math.max(sum.peakRssBytes ?? 0, process.usage.peakRssBytes);
  }
  return [...sums.values()].sort((a, b) => b.totalNs - a.totalNs);
}

/** A part of the critical path: what a process did itself, or while it waited for nobody. */
export interface CriticalStep {
  /** The process that everything waited for. */
  readonly process: TraceProcess;
  /** Nanoseconds since the beginning of the trace. */
  readonly startNs: number;
  /** Nanoseconds since the beginning of the trace. */
  readonly endNs: number;
}

/**
 * The chain of waiting that made the trace as long as it is, in the order of time: from the end of the command back to the
 * child that ended last, through that child to its own last child, and on from its start.
 */
export function criticalPath(trace: Trace): CriticalStep[] {
  const root = trace.processes.find(({ parent }) => parent === undefined);
  if (root === undefined) return [];
  const steps: CriticalStep[] = [];
  // Backwards. A stack instead of recursion: a chain of parents may be long.
  const stack: { readonly process: TraceProcess; readonly children: TraceProcess[] }[] = [];
  const enter = (process: TraceProcess): void => {
    stack.push({ process, children: [...process.children].sort((a, b) => a.endNs - b.endNs) });
  };
  let atNs = root.endNs;
  enter(root);
  while (stack.length > 0) {
    const { process, children } = stack.at(-1)!;
    let child = children.pop();
    while (child !== undefined && child.endNs > atNs) child = children.pop();
    if (child !== undefined && child.endNs > process.startNs) {
      if (child.endNs < atNs) steps.push({ process, startNs: child.endNs, endNs: atNs });
      atNs = child.endNs;
      enter(child);
      continue;
    }
    if (process.startNs < atNs) steps.push({ process, startNs: process.startNs, endNs: atNs });
    atNs = Math.min(atNs, process.startNs);
    stack.pop();
  }
  return steps.reverse();
}

/** A process on the critical path, and how much of it is that process's own. */
export interface CriticalShare {
  /** The process that everything waited for. */
  readonly process: TraceProcess;
  /** For how long, in nanoseconds. */
  readonly ns: number;
}

/** The processes on the critical path, the longest first. */
export function criticalShares(trace: Trace): CriticalShare[] {
  const sums = new Map<TraceProcess, number>();
  for (const { process, startNs, endNs } of criticalPath(trace)) {
    sums.set(process, (sums.get(process) ?? 0) + endNs - startNs);
  }
  return [...sums].sort((a, b) => b[1] - a[1]).map(([process, ns]) => ({ process, ns }));
}

/** For how long a number of processes without running children ran at the same time, in nanoseconds, by that number. */
export function parallelism(trace: Trace): number[] {
  const { timesNs, working } = loadOf(trace);
  const sums: number[] = [];
  let [count, sinceNs] = [0, 0];
  const add = (untilNs: number): void => {
    sums[count] = (sums[count] ?? 0) + Math.max(0, untilNs - sinceNs);
    sinceNs = untilNs;
  };
  for (const [i, ns] of timesNs.entries()) {
    add(ns);
    count = working[i]!;
  }
  add(trace.durationNs);
  return Array.from(sums, (ns) => ns ?? 0);
}
