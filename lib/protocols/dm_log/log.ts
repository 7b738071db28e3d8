import type { DmLogCtr } from "./message.ts";

/**
 * One dirty log: which regions of a mirror are being written, and which are the same on all its legs. What a method
 * throws is answered to the kernel as an error: the number of a {@linkcode DirtyLogError} or of a SyscallError, else
 * EIO. The kernel waits for each answer before it goes on.
 */
export interface DirtyLog {
  /** Sectors of 512 bytes in a region. It never changes. */
  readonly regionSize: number;
  /** Whether a region is not being written. */
  isClean(region: bigint): boolean | Promise<boolean>;
  /** Whether a region is the same on all legs. */
  inSync(region: bigint): boolean | Promise<boolean>;
  /** Regions that will be written: it must survive a crash of this program, and after the next flush any crash. */
  markRegions(regions: readonly bigint[]): void | Promise<void>;
  /** Regions that are no more being written. It may be forgotten. */
  clearRegions(regions: readonly bigint[]): void | Promise<void>;
  /** The kernel writes only after this: everything so far must be on stable storage. */
  flush(): void | Promise<void>;
  /**
   * A region to recover, or undefined. The kernel recovers one at a time, so that a repeated question means that the
   * answer was lost: the same region must be given again.
   */
  resyncWork(): bigint | undefined | Promise<bigint | undefined>;
  /** A region was recovered, or a leg failed and it is no more the same on all. */
  setRegionSync(region: bigint, inSync: boolean): void | Promise<void>;
  /**
   * How many regions are in sync. Before each {@linkcode resume} it must count only those that will be in sync after it:
   * the kernel takes an answer that reaches the number of regions for the end of all recovery.
   */
  syncCount(): bigint | Promise<bigint>;
  /** The count of words that follow and the words: `"1 core"`, `"3 disk 254:0 A"`. */
  status(kind: "info" | "table"): string | Promise<string>;
  /**
   * Whether another machine recovers a region, and the lowest that is not in sync, of which holds what holds of
   * {@linkcode syncCount}. Only clusters need it.
   */
  remoteRecovering?(region: bigint): RemoteRecovering | Promise<RemoteRecovering>;
  /** The mirror is about to be suspended. */
  presuspend?(): void | Promise<void>;
  /** It is suspended: no more writes are under way. */
  postsuspend?(): void | Promise<void>;
  /**
   * It begins, or goes on after a suspension. `again` says that the kernel only lost its server: the mirror never
   * stopped, and what is marked is being written but still the same on all legs.
   */
  resume(again: boolean): void | Promise<void>;
  /** The log is no more. */
  destroy(): void | Promise<void>;
}

/** The answer to DM_ULOG_IS_REMOTE_RECOVERING. */
export interface RemoteRecovering {
  /** Whether another machine recovers the region. */
  readonly recovering: boolean;
  /** The lowest region that is not in sync. */
  readonly inSyncHint: bigint;
}

/** What makes logs: `core`, `disk`, or one's own. */
export interface DirtyLogs {
  /**
   * Makes a log. Its device, if it has one, is answered to the kernel, which holds it open.
   *
   * @throws {DirtyLogError} When the arguments of the table line are wrong.
   */
  create(request: DmLogCtr): CreatedLog | Promise<CreatedLog>;
}

/** A new log. */
export interface CreatedLog {
  /** The log itself. */
  readonly log: DirtyLog;
  /** The block device that the log lies on, as a path or "major:minor"; undefined for none. */
  readonly device?: string | undefined;
}

/** An error that the kernel is answered with. */
export class DirtyLogError extends Error {
  /** Always `"DirtyLogError"`. */
  override readonly name = "DirtyLogError";
  /** Positive, as in `ERRNO`. */
  readonly errno: number;

  /** `action` completes "Cannot …". */
  constructor(action: string, errno: number, explanation: string) {
    super(`Cannot ${action}: ${explanation}`);
    this.errno = errno;
  }
}
