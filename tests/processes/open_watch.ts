import type { System } from "../../ffi/libc.ts";
import { checkFilter, type EventFilter, type FilterPlace } from "../../lib/processes/event_filter.ts";
import { checkReceiveOptions, type WatchProcessesOptions } from "../../lib/processes/options.ts";
import type { Stage } from "../../lib/processes/pipeline.ts";
import { openWatch, type ProcessWatch } from "../../lib/processes/watch.ts";

/** Options of a watch of single events. */
export type EventWatchOptions =
  & EventFilter
  & Pick<WatchProcessesOptions, "latencyMs" | "heartbeatMs" | "receiveBufferBytes" | "signal">;

/** What {@linkcode openProcessWatch} decides by itself. */
export interface Inner {
  readonly stages?: readonly Stage[];
  readonly eager?: boolean;
  readonly execWaitMs?: number;
  readonly places?: readonly FilterPlace[];
}

/** Opens a watch of the events as the kernel sends them: without a table, and without following anything. */
export function openEventWatch(
  system: System,
  options: EventWatchOptions = {},
  { stages = [], eager = false, execWaitMs = 0, places = ["kernel", "bpf"] }: Inner = {},
): ProcessWatch {
  const { heartbeatMs, ...receiving } = checkReceiveOptions(options, "watch processes");
  const filter = checkFilter(options, "watch processes");
  const { signal } = options;
  const source = { ...receiving, filter, places, eager: () => eager, execWaitMs };
  return openWatch(system, { source, stages, placements: [], heartbeatMs, signal });
}
