import type { Connector } from "../../../../mod.ts";
import {
  coreLogs,
  DirtyLogError,
  type DirtyLogs,
  type DmLogRequest,
  logsByName,
  openDiskLogs,
  serveDirtyLog,
} from "../../../protocols/dm_log/mod.ts";
import { ERRNO } from "../../../errors/errno.ts";
import type { DmLogEvent } from "./events.ts";
import { observeLogs, type Report } from "./observed_log.ts";

/** What is served, and how much of it is reported. */
export interface DmLogService {
  readonly core: boolean;
  /** The folder of the log files, or null for none. */
  readonly disk: string | null;
  /** Whether the kernel module dm-log-userspace is loaded. */
  readonly loaded: boolean;
  readonly verbose: boolean;
}

/** Serves until `stopped` resolves or the connector fails. Either way all logs and their files are closed. */
export async function serveUntil(
  stopped: Promise<void>,
  connector: Connector,
  service: DmLogService,
  report: Report,
): Promise<void> {
  const { core, disk, loaded, verbose } = service;
  let left: number | undefined; // logs that the kernel still has, once the server is closing
  const logs = observeLogs(await logsOf(service, report), (event) => {
    // Closing the server removes its logs, but their mirrors still exist.
    if (!(left !== undefined && event.type === "removed")) report(event);
  }, verbose);
  const server = await serveDirtyLog(logs, {
    connector,
    onError: (error, { request }) => report(errorEvent(error, request)),
  });
  // The server closes its logs together with the connector.
  const countLeft = (): void => void (left ??= server.stats().logs);
  connector.closed.then(countLeft, countLeft);
  try {
    report({ type: "serving", core, disk, loaded, port: connector.port });
    await Promise.race([stopped, server.closed]);
  } finally {
    left ??= server.stats().logs;
    await server[Symbol.asyncDispose]();
    report({ type: "ended", left, stats: server.stats() });
  }
}

async function logsOf({ core, disk }: DmLogService, report: Report): Promise<DirtyLogs> {
  const kinds: Record<string, DirtyLogs> = {};
  if (core) kinds["core"] = coreLogs();
  if (disk !== null) {
    kinds["disk"] = await openDiskLogs({
      folder: disk,
      onDamage: ({ path, firstRegion, regionCount }) =>
        report({ type: "damage", path, firstRegion, regions: regionCount }),
    });
  }
  return logsByName(kinds);
}

/** The event of a failed request. One for an unknown log is how a server takes over from an earlier one. */
export function errorEvent(error: unknown, request: DmLogRequest | undefined): DmLogEvent {
  if (error instanceof DirtyLogError && error.errno === ERRNO.ESRCH && request !== undefined) {
    return { type: "unknown_log", uuid: request.uuid, request: request.type };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { type: "error", uuid: request?.uuid ?? null, request: request?.type ?? null, message };
}
