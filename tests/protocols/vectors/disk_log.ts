// Shared by the tests of logs on a simulated disk.

import assert from "node:assert/strict";
import { diskLogsOn } from "../../../lib/protocols/dm_log/disk.ts";
import type { DiskLogDamage } from "../../../lib/protocols/dm_log/disk_state.ts";
import { type DirtyLog, DirtyLogError, type DirtyLogs } from "../../../lib/protocols/dm_log/log.ts";
import type { DmLogCtr } from "../../../lib/protocols/dm_log/message.ts";
import type { CrashDisk } from "./crash_disk.ts";

/** The directory of the logs on a {@linkcode CrashDisk}. */
export const FOLDER = "/var/lib/dirty";
export const PATH: string = `${FOLDER}/LOG-1.dirtylog`;
export const REGIONS = 5000; // three pages of 2016
export const SECTORS: number = 1024 * REGIONS;

export function ctr(sync?: "sync" | "nosync", again = false): DmLogCtr {
  const args = [`${SECTORS}`, "disk", "1024", ...(sync === undefined ? [] : [sync])];
  return { type: "ctr", luid: 1n, uuid: "LOG-1", version: 3, seq: 1, args, again };
}

/** These logs are synchronous. */
export function create(logs: DirtyLogs, request: DmLogCtr): DirtyLog {
  const created = logs.create(request);
  assert.ok(!(created instanceof Promise));
  return created.log;
}

export function openOn(
  disk: CrashDisk,
  request = ctr(),
  onDamage?: (damage: DiskLogDamage) => void,
): DirtyLog {
  const options = onDamage === undefined ? { folder: FOLDER } : { folder: FOLDER, onDamage };
  const log = create(diskLogsOn(disk.libc, options), request);
  log.resume(request.again);
  return log;
}

export function refuses(errno: number): (error: unknown) => boolean {
  return (error) => error instanceof DirtyLogError && error.errno === errno;
}
