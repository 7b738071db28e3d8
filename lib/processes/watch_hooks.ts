import type { CommandLineStats } from "./command_lines.ts";
import type { ProcessEvent } from "./event.ts";
import type { FilterPlacement } from "./watch_stats.ts";

/** What the room above adds to a watch. */
export interface ProcWatchHooks<Event extends ProcessEvent> {
  /**
   * Sees every batch before it is handed out, and answers what is handed out. `ahead` fetches what has been queued
   * meanwhile, which will be the next batch; `drained` says whether there is nothing more behind this one.
   */
  readonly batch: (
    events: ProcessEvent[],
    ahead: () => readonly ProcessEvent[],
    drained: () => boolean,
  ) => Event[];
  /** In how many milliseconds it wants to be asked again, events or not; undefined for not at all. */
  readonly dueMs: () => number | undefined;
  /** Look at once while the load allows: what /proc says of a process is soon gone. */
  readonly eager: boolean;
  /** Where command lines came from, where there are any. */
  readonly commandLines?: () => CommandLineStats;
  /** Called once when the watch is closed. */
  readonly onClose?: () => void;
  /** What it filters itself. */
  readonly filters: readonly FilterPlacement[];
  /**
   * Which exits are those of processes is found out above, from the lives of threads: they are received though nobody
   * may have asked for them, and every event is judged above, too.
   */
  readonly threadLife?: boolean;
}
