import type { DmLogCtr } from "./message.ts";

/**
 * One dirty log: which regions of a mirror are being written, and which are in sync, that is, the same on all legs. If a
 * method throws, the kernel gets the errno of the {@linkcode DirtyLogError} or SyscallError, else EIO. The kernel waits
 * for each reply before it continues.
 */
export interface DirtyLog {
  /** The size of a region in sectors of 512 bytes; constant. */
  readonly regionSize: number;
  /** Whether a region is clean: not being written. */
  isClean(region: bigint): boolean | Promise<boolean>;
  /** Whether a region is the same on all legs. */
  inSync(region: bigint): boolean | Promise<boolean>;
  /** Marks regions that will be written. This must survive a crash of this program, and after the next flush any crash. */
  markRegions(regions: readonly bigint[]): void | Promise<void>;
  /** Clears regions that are no longer being written. This may be lost in a crash. */
  clearRegions(regions: readonly bigint[]): void | Promise<void>;
  /** Writes everything so far to stable storage. The kernel writes data only afterwards. */
  flush(): void | Promise<void>;
  /**
   * A region to recover, or undefined. The kernel recovers one at a time. A repeated request means that the reply was
   * lost: return the same region again.
   */
  resyncWork(): bigint | undefined | Promise<bigint | undefined>;
  /** A region was recovered, or a leg failed and the region is no longer the same on all legs. */
  setRegionSync(region: bigint, inSync: boolean): void | Promise<void>;
  /**
   * The number of regions in sync. Before each {@linkcode resume} it must count only those that will be in sync after it:
   * when the count reaches the number of regions, the kernel considers recovery complete.
   */
  syncCount(): bigint | Promise<bigint>;
  /** The number of words that follow, and the words: `"1 core"`, `"3 disk 254:0 A"`. */
  status(kind: "info" | "table"): string | Promise<string>;
  /**
   * Whether another machine is recovering a region, and the lowest region out of sync, with the same condition as
   * {@linkcode syncCount}. Only clusters need it.
   */
  remoteRecovering?(region: bigint): RemoteRecovering | Promise<RemoteRecovering>;
  /** The mirror is about to be suspended. */
  presuspend?(): void | Promise<void>;
  /** The mirror is suspended: no writes are in progress. */
  postsuspend?(): void | Promise<void>;
  /**
   * The mirror starts, or continues after a suspension. With `again` the kernel has only reconnected to a server: the
   * mirror never stopped, and marked regions are being written but still in sync.
   */
  resume(again: boolean): void | Promise<void>;
  /** Releases the log; the kernel no longer uses it. */
  destroy(): void | Promise<void>;
}

/** The reply to DM_ULOG_IS_REMOTE_RECOVERING. */
export interface RemoteRecovering {
  /** Whether another machine is recovering the region. */
  readonly recovering: boolean;
  /** The lowest region out of sync. */
  readonly inSyncHint: bigint;
}

/** Creates logs: `core`, `disk`, or your own kind. */
export interface DirtyLogs {
  /**
   * Creates a log. Its device, if it has one, is sent to the kernel, which keeps it open.
   *
   * @throws {DirtyLogError} When the arguments of the table line are wrong.
   */
  create(request: DmLogCtr): CreatedLog | Promise<CreatedLog>;
}

/** A new log. */
export interface CreatedLog {
  /** The log itself. */
  readonly log: DirtyLog;
  /** The block device that holds the log, as a path or "major:minor"; undefined for none. */
  readonly device?: string | undefined;
}

/** An error whose errno is sent to the kernel. */
export class DirtyLogError extends Error {
  /** Always `"DirtyLogError"`. */
  override readonly name = "DirtyLogError";
  /** A positive errno. */
  readonly errno: number;

  /** `action` completes "Cannot …". */
  constructor(action: string, errno: number, explanation: string) {
    super(`Cannot ${action}: ${explanation}`);
    this.errno = errno;
  }
}
