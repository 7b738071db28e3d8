import type { BoundTables } from "./bind.ts";
import type { StartWaiting } from "./poller.ts";

/** What the adapter of a runtime brings. */
export interface Runtime {
  readonly tables: BoundTables;
  readonly startWaiting: StartWaiting;
}
