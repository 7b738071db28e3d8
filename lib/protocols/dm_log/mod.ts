/**
 * Dirty region logs for device-mapper mirrors (`dm-log-userspace`): the log of a mirror is kept by your program.
 * Needs the kernel module `dm-log-userspace` and root.
 *
 * ```ts ignore
 * import { openDiskLogs, serveDirtyLog } from "kernel-connector/dm-log";
 *
 * await using server = await serveDirtyLog(await openDiskLogs({ folder: "/var/lib/dirty-logs" }));
 * await server.closed;
 * ```
 *
 * @module
 */
export type { Server, ServerOptions } from "../../connector/server.ts";
export type { DirtyLogStats } from "./dispatcher.ts";
export { DM_ULOG_NAMES, type DmLogRequestName } from "./constants.ts";
export { coreLogs } from "./core.ts";
export { type DiskLogOptions, openDiskLogs } from "./disk.ts";
export type { DiskLogDamage } from "./disk_state.ts";
export {
  type CreatedLog,
  type DirtyLog,
  DirtyLogError,
  type DirtyLogs,
  type RemoteRecovering,
} from "./log.ts";
export type {
  DmLogCtr,
  DmLogDtr,
  DmLogPlain,
  DmLogRegionQuestion,
  DmLogRegions,
  DmLogRequest,
  DmLogRequestCommon,
  DmLogSetRegionSync,
  DmLogUnknown,
} from "./message.ts";
export {
  type DirtyLogErrorContext,
  type DirtyLogServer,
  logsByName,
  serveDirtyLog,
  type ServeDirtyLogOptions,
} from "./serve.ts";
