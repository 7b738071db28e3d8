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
import type { DmLogEvent } from "./events.ts";
import { type Tell, tellingLogs } from "./observed_log.ts";

/** "No such process": so the kernel is told that a log is not known here. */
const ESRCH = 3;

/** What is served, and how much of it is told. */
export interface DmLogService {
  readonly core: boolean;
  /** The folder of the files, or null for none. */
  readonly disk: string | null;
  /** Whether the kernel's dm-log-userspace is there. */
  readonly loaded: boolean;
  readonly verbose: boolean;
}

/** Serves until `stopped`, or until the connector fails. On either path every log is let go of, and its file closed. */
export async function serveUntil(
  stopped: Promise<void>,
  connector: Connector,
  service: DmLogService,
  tell: Tell,
): Promise<void> {
  const { core, disk, loaded, verbose } = service;
  let left: number | undefined; // logs that the kernel has, from the beginning of the end on
  const logs = tellingLogs(await logsOf(service, tell), (event) => {
    // That they are let go of at the end says nothing of their mirrors, which live on.
    if (!(left !== undefined && event.type === "removed")) tell(event);
  }, verbose);
  const server = await serveDirtyLog(logs, {
    connector,
    onError: (error, request) => tell(errorEvent(error, request)),
  });
  // The server lets go of its logs with the connector.
  connector.onEnd(() => {
    left ??= server.stats().logs;
    return true;
  });
  try {
    tell({ type: "serving", core, disk, loaded, port: connector.port });
    await Promise.race([stopped, server.closed]);
  } finally {
    left ??= server.stats().logs;
    await server.close();
    tell({ type: "ended", left, stats: server.stats() });
  }
}

async function logsOf({ core, disk }: DmLogService, tell: Tell): Promise<DirtyLogs> {
  const kinds: Record<string, DirtyLogs> = {};
  if (core) kinds["core"] = coreLogs();
  if (disk !== null) {
    kinds["disk"] = await openDiskLogs({
      folder: disk,
      onDamage: ({ path, firstRegion, regionCount }) =>
        tell({ type: "damage", path, firstRegion, regions: regionCount }),
    });
  }
  return logsByName(kinds);
}

/** What the kernel was refused; that a log is not known here is how one server takes over from another. */
export function errorEvent(error: unknown, request: DmLogRequest | undefined): DmLogEvent {
  if (error instanceof DirtyLogError && error.errno === ESRCH && request !== undefined) {
    return { type: "stranger", uuid: request.uuid, request: request.type };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { type: "error", uuid: request?.uuid ?? null, request: request?.type ?? null, message };
}
