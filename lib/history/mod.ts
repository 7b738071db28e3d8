/**
 * Every process of a machine in an SQLite database: `cnctl record` writes it, `cnctl history` reads it, and so can
 * programs.
 *
 * ```ts ignore
 * import { openHistory } from "kernel-connector/history";
 *
 * using history = openHistory("/var/lib/cnctl/history.db");
 * for (const { comm, exitCode } of history.query({ failed: true, limit: 20 })) console.log(comm, exitCode);
 * ```
 *
 * @module
 */
export {
  type History,
  type HistoryCount,
  type HistoryGap,
  type HistoryImage,
  type HistoryTable,
  openHistory,
} from "./history.ts";
export { HistoryError } from "./history_error.ts";
export type { GapReason } from "./images.ts";
export { HISTORY_COUNT_BY, type HistoryCountBy, type HistoryQuery } from "./history_query.ts";
export { recordHistory, type RecordHistoryOptions } from "./record.ts";
export type { HistoryRecorder, HistoryRecorderStats } from "./recorder.ts";
