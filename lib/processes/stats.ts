import type { ProcessInfo } from "./info.ts";
import type { UntrustedSender } from "../connector/untrusted_senders.ts";
import { type CheckedFilter, filterParts, type FilterPlace } from "./event_filter.ts";
import { fitsProgram } from "./bpf_filter.ts";
import type { SubscriptionOptions } from "./subscription.ts";

/** A part of a filter, and where it is applied. */
export interface FilterPlacement {
  /** The name of the option: `"events"`, `"pids"`, `"comm"` … */
  readonly part: string;
  /** The kernel's own filter, the BPF program before the queue, or TypeScript. */
  readonly places: readonly ("kernel" | "bpf" | "typescript")[];
  /** Why nothing may match: the file or control group does not exist now, or the name is longer than the kernel's. */
  readonly note?: string | undefined;
}

/** Counters of a watch, and where its filter is applied. */
export interface ProcessWatchStats {
  /** Datagrams received, of any kind. */
  readonly received: number;
  /** Events lost, as far as they could be counted; also of types that were not asked for, see {@linkcode ProcessLostEvent}. */
  readonly lost: number;
  /** How often the subscription had died. What was lost meanwhile is unknown. */
  readonly interruptions: number;
  /**
   * How `lost` is known: by the drop counter and the sequence numbers, which show every loss; or by the counter alone
   * (behind a filter), which misses events for which the kernel could not even allocate memory, and counts a lost
   * acknowledgement of another subscription as an event.
   */
  readonly lossKnownBy: "drops and sequence" | "drops";
  /** Datagrams that did not come from the kernel. */
  readonly untrusted: number;
  /** Who sent them, one element per port; senders beyond the first 64 ports together. */
  readonly untrustedSenders: readonly UntrustedSender[];
  /** Messages from the kernel that were truncated, too short, or of another type or identifier. */
  readonly malformed: number;
  /** How often the poller woke the reader. */
  readonly wakeUps: number;
  /** Receives that brought something. */
  readonly batches: number;
  /** The receive buffer that was asked for, and what the kernel granted: twice as much, for its own overhead. */
  readonly receiveBufferBytes: { readonly asked: number; readonly granted: number };
  /** Whether this kernel filters by type itself (6.6 and newer). */
  readonly kernelFilters: boolean;
  /** Events handed out, not counting `lost` events. */
  readonly delivered: number;
  /**
   * Events left out because the filter needs to know something of their process that could not be read, usually as the
   * process exited first. They may have matched.
   */
  readonly undecided: number;
  /** How often the kernel was asked whether the subscription is alive. */
  readonly heartbeats: number;
  /** Where each part of the filter is applied. */
  readonly filters: readonly FilterPlacement[];
  /** Where the command lines of execs came from; only in a watch with a table of processes. */
  readonly commandLines?: {
    /** Execs whose command line the kernel recorded. */
    readonly fromRecords: number;
    /** Execs whose command line was read from /proc. */
    readonly fromProc: number;
    /** Execs without a command line, by the reason (`unknownBecause`). */
    readonly unknown: Readonly<Partial<Record<NonNullable<ProcessInfo["unknownBecause"]>, number>>>;
    /** Records for which the kernel had no room, as far as later ones have shown. */
    readonly dropped: number;
    /** `"active"`; `"off"`; or why the kernel records nothing for us. */
    readonly recorder: string;
  } | undefined;
  /** Where the usage of processes came from; only in a watch with `usage: true`. */
  readonly usage?: {
    /** Exits of processes with their usage. */
    readonly known: number;
    /** Exits of processes without. */
    readonly unknown: number;
    /** Messages of the kernel that its queue had no room for. */
    readonly lost: number;
    /** Why the kernel sends nothing; undefined if it does. */
    readonly refusal: string | undefined;
  } | undefined;
}

/** The counters of a source. */
export type SourceStats = Omit<
  ProcessWatchStats,
  "delivered" | "undecided" | "heartbeats" | "filters" | "commandLines" | "usage"
>;

/** Where each part of a filter is applied; `filtersHere`: the rest is applied in TypeScript. */
export function placementsOf(
  filter: CheckedFilter,
  { mask, program }: SubscriptionOptions,
  kernelFilters: boolean,
  filtersHere: boolean,
): FilterPlacement[] {
  return filterParts(filter).map((part) => {
    const { threadLife } = filter;
    if (threadLife && (part === "exits" || part === "threads")) return { part, places: ["typescript"] };
    const places: FilterPlace[] = [];
    const isByType = part === "events" || part === "exits";
    if (isByType && mask !== undefined && kernelFilters) places.push("kernel");
    if (program !== undefined && (part !== "pids" || fitsProgram(filter))) places.push("bpf");
    else if (filtersHere) places.push("typescript");
    // More types are received than were asked for.
    if (threadLife && part === "events") places.push("typescript");
    return { part, places };
  });
}
