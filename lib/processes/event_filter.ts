import {
  PROC_EVENT_COMM,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_GID,
  PROC_EVENT_NONZERO_EXIT,
  PROC_EVENT_PTRACE,
  PROC_EVENT_UID,
  PROCESS_EVENT_TYPES,
  type ProcessEventType,
} from "./constants.ts";
import type { KernelProcessEvent } from "./event.ts";
import type { ProcessFilter } from "./filter.ts";

/** Longest list of processes that the kernel compares one by one; a longer one costs every event of the machine. */
export const MAX_BPF_PIDS = 64;

/** The parts of a filter that can be compared with an event alone. */
export type EventFilter = Pick<ProcessFilter, "events" | "exits" | "pids" | "threads">;

/** A part of a filter. */
export type FilterPart = "events" | "exits" | "pids" | "threads";
/** A place where a filter can be applied. */
export type FilterPlace = "kernel" | "bpf" | "typescript";

/** A filter, checked. */
export interface CheckedFilter {
  /** The kinds as the kernel's bits, or undefined for all. */
  readonly mask: number | undefined;
  readonly failedOnly: boolean;
  readonly pids: ReadonlySet<number> | undefined;
  readonly withoutThreads: boolean;
  /** Forks of threads, execs and exits are received in any case; see {@linkcode withThreadLife}. */
  readonly threadLife: boolean;
}

/** Kinds whose events can be a single thread's. */
export const THREAD_KINDS: number = (PROC_EVENT_EXIT | PROC_EVENT_COMM | PROC_EVENT_UID | PROC_EVENT_GID) >>>
  0;
/** Types that show how threads begin and end. */
export const THREAD_LIFE_KINDS: number = (PROC_EVENT_FORK | PROC_EVENT_EXEC | PROC_EVENT_EXIT) >>> 0;
/** Kinds in which a second process has part. */
export const PAIR_KINDS: number = PROC_EVENT_FORK | PROC_EVENT_PTRACE;

/** The filter that nothing was asked of. */
export const ALL_EVENTS: CheckedFilter = {
  mask: undefined,
  failedOnly: false,
  pids: undefined,
  withoutThreads: false,
  threadLife: false,
};

/**
 * Checks a filter. Here `threads` is true by default.
 *
 * @throws {TypeError} For a kind or a value that there is not, with those that there are.
 */
export function checkFilter(filter: EventFilter, action: string): CheckedFilter {
  const { exits = "all", pids, threads = true } = filter;
  if (exits !== "all" && exits !== "failed") {
    throw new TypeError(`Cannot ${action}: exits must be "all" or "failed", and is ${JSON.stringify(exits)}`);
  }
  if (pids?.length === 0) throw new TypeError(`Cannot ${action}: the list of pids is empty`);
  const wrong = pids?.find((pid) => !(Number.isInteger(pid) && pid > 0 && pid < 2 ** 31));
  if (wrong !== undefined) throw new TypeError(`Cannot ${action}: ${wrong} is no process id`);
  return {
    mask: kindsMask(filter.events, action),
    failedOnly: exits === "failed",
    pids: pids && new Set(pids),
    withoutThreads: !threads,
    threadLife: false,
  };
}

/**
 * The filter for a subscription that must distinguish the exits of processes from those of threads: what `filter` wants,
 * the forks of threads, all exits, and execs, which end all threads but one. The filter itself is applied afterwards.
 */
export function withThreadLife(filter: CheckedFilter): CheckedFilter {
  return { ...filter, threadLife: true };
}

function kindsMask(kinds: readonly ProcessEventType[] | undefined, action: string): number | undefined {
  if (kinds === undefined) return undefined;
  let mask = 0;
  for (const kind of kinds) {
    // What every object inherits is no kind: "constructor".
    if (!Object.hasOwn(PROCESS_EVENT_TYPES, kind)) {
      const known = Object.keys(PROCESS_EVENT_TYPES).join(", ");
      throw new TypeError(`Cannot ${action}: there is no event ${JSON.stringify(kind)}; there are ${known}`);
    }
    mask |= PROCESS_EVENT_TYPES[kind];
  }
  if (mask === 0) throw new TypeError(`Cannot ${action}: the list of events is empty`);
  return mask >>> 0;
}

/** The mask for the kernel's own filter, or undefined where it has nothing to do. */
export function kernelMask({ mask, failedOnly, threadLife }: CheckedFilter): number | undefined {
  if (threadLife) return mask === undefined ? undefined : (mask | THREAD_LIFE_KINDS) >>> 0;
  const every = mask ?? 0xffff_ffff;
  if (!failedOnly || (every & PROC_EVENT_EXIT) === 0) return mask;
  // An exit with a status is another bit than all exits, and only without the latter.
  return ((every & ~PROC_EVENT_EXIT) | PROC_EVENT_NONZERO_EXIT) >>> 0;
}

/** Which parts of a filter there are. */
export function filterParts({ mask, failedOnly, pids, withoutThreads }: CheckedFilter): FilterPart[] {
  const parts: FilterPart[] = [];
  if (mask !== undefined) parts.push("events");
  if (failedOnly) parts.push("exits");
  if (pids !== undefined) parts.push("pids");
  if (withoutThreads) parts.push("threads");
  return parts;
}

/** Whether a type of event is wanted at all. */
export function wantsType({ mask }: CheckedFilter, type: ProcessEventType): boolean {
  return mask === undefined || (mask & PROCESS_EVENT_TYPES[type]) !== 0;
}

/** Whether an event is wanted: the meaning of a filter, which the other places must share. */
export function wanted(
  { mask, failedOnly, pids, withoutThreads }: CheckedFilter,
  event: KernelProcessEvent,
): boolean {
  if (mask !== undefined && (event.type === "unknown" || (PROCESS_EVENT_TYPES[event.type] & mask) === 0)) {
    return false;
  }
  switch (event.type) {
    case "unknown":
      return pids === undefined;
    case "fork":
      if (withoutThreads && event.thread) return false;
      return pids === undefined || pids.has(event.parentPid) || pids.has(event.pid);
    case "ptrace":
      return pids === undefined || pids.has(event.pid) || pids.has(event.tracerPid);
    case "exit":
      if (failedOnly && event.status === 0) return false;
      if (withoutThreads && event.thread) return false;
      return pids === undefined || pids.has(event.pid);
  }
  if (withoutThreads && event.pid !== event.tid && (PROCESS_EVENT_TYPES[event.type] & THREAD_KINDS) !== 0) {
    return false;
  }
  return pids === undefined || pids.has(event.pid);
}
