import type { CommandLineStats } from "./command_lines.ts";
import type { UntrustedSender } from "../connector/untrusted_senders.ts";
import { type CheckedFilter, filterParts, type FilterPlace } from "./event_filter.ts";
import { fitsProgram } from "./bpf_filter.ts";
import type { SubscriptionOptions } from "./subscription.ts";

/** A part of what was asked for, and where it is judged. */
export interface FilterPlacement {
  /** The name of the option: `"events"`, `"pids"`, `"comm"` … */
  readonly part: string;
  /** The kernel's own filter, the BPF program before the queue, or TypeScript. */
  readonly places: readonly FilterPlace[];
  /** What to know when nothing matches: the file or control group is not there now, or a name is longer than names are. */
  readonly note?: string | undefined;
}

/** What a watch has seen and how it stands. */
export interface ProcessWatchStats {
  /** Datagrams that were received, whatever they were. */
  readonly received: number;
  /** Events that were handed out, `lost` events not counted. */
  readonly delivered: number;
  /** Events that were lost, as far as they could be counted: also of kinds that nobody asked for, see {@linkcode LostEvent}. */
  readonly lost: number;
  /** How often the subscription was dead, and what was lost meanwhile is unknown. */
  readonly interruptions: number;
  /**
   * How `lost` is known: by the drop counter and the sequence numbers, which shows every loss, or by the counter alone
   * (behind a filter), which misses events for which the kernel could not even allocate memory.
   */
  readonly lossKnownBy: "drops and sequence" | "drops";
  /** Datagrams that did not come from the kernel. */
  readonly untrusted: number;
  /** Who sent them, an element for each port. */
  readonly untrustedSenders: readonly UntrustedSender[];
  /** Messages from the kernel that were cut, too short, of another type or identifier. */
  readonly malformed: number;
  /** How often the poller woke us. */
  readonly wakeUps: number;
  /** Receives that brought something. */
  readonly batches: number;
  /** How often the kernel was asked for a sign of life. */
  readonly heartbeats: number;
  /** The receive buffer that was asked for, and what the kernel granted, in its own count (twice, for its overhead). */
  readonly receiveBufferBytes: { readonly asked: number; readonly granted: number };
  /** Whether this kernel filters by kind itself (6.6 and newer). */
  readonly kernelFilters: boolean;
  /** Where each part of what was asked for is judged. */
  readonly filters: readonly FilterPlacement[];
  /** Where the command lines of execs came from; only in a watch with a table of processes. */
  readonly commandLines?: CommandLineStats | undefined;
}

/** Where each part of a filter is judged; `judges` says that what is left is judged in TypeScript. */
export function placementsOf(
  filter: CheckedFilter,
  { mask, program }: SubscriptionOptions,
  kernelFilters: boolean,
  judges: boolean,
): FilterPlacement[] {
  return filterParts(filter).map((part) => {
    const { threadLife } = filter;
    if (threadLife && (part === "exits" || part === "threads")) return { part, places: ["typescript"] };
    const places: FilterPlace[] = [];
    const isKind = part === "events" || part === "exits";
    if (isKind && mask !== undefined && kernelFilters) places.push("kernel");
    if (program !== undefined && (part !== "pids" || fitsProgram(filter))) places.push("bpf");
    else if (judges) places.push("typescript");
    // Of the kinds more is received than was asked for.
    if (threadLife && part === "events") places.push("typescript");
    return { part, places };
  });
}
