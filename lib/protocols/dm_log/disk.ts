import { checkFunction, checkOptions, checkString, type OptionChecks } from "../../errors/arguments.ts";
import type { Libc } from "../../../ffi/libc.ts";
import { openSystem } from "../../system.ts";
import { ERRNO } from "../../errors/errno.ts";
import { encodeCString } from "../../wire/text.ts";
import { type DiskLogDamage, DiskState } from "./disk_state.ts";
import {
  type CreatedLog,
  type DirtyLog,
  DirtyLogError,
  type DirtyLogs,
  type RemoteRecovering,
} from "./log.ts";
import { LogFile } from "./log_file.ts";
import type { DmLogCtr } from "./message.ts";
import { openPrivateFolder } from "./private_file.ts";
import { type LogGeometry, parseGeometry } from "./regions.ts";

/** Where logs are stored, and what is called when one is damaged. */
export interface DiskLogOptions {
  /**
   * The absolute path of an existing directory that only the server's user and root may write to. It must not be on a
   * mirror whose log it holds.
   */
  readonly folder: string;
  /** Called for sectors with a wrong checksum; their regions will be recovered. */
  readonly onDamage?: (damage: DiskLogDamage) => void;
}

const OPTIONS: OptionChecks<DiskLogOptions> = { folder: checkString, onDamage: checkFunction };

/**
 * Logs in files, one for each uuid, `FOLDER/UUID.dirtylog`. They survive crashes of this program and of the machine, and
 * stops of the mirror. A mark, or a region out of sync, is in the file before the kernel gets its reply, and on stable
 * storage before the reply to the flush that the kernel waits for before it writes.
 *
 * After a crash of the machine the regions that were being written are recovered; after a crash of this program alone
 * none are.
 *
 * A file is locked while its log is in use: another server gets EBUSY, and so does a second running mirror with the same
 * uuid. A table and the one that replaces it share their log.
 *
 * Table line: `0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0`. After the region size, `nosync` makes a
 * new log start in sync, and `sync` recovers everything at each start (with either the 3 becomes a 4).
 *
 * @throws {TypeError} When the path of the folder is not absolute.
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} When another user owns it or may write to it.
 */
export function diskLogsOn(libc: Libc, options: DiskLogOptions): DirtyLogs {
  const { folder } = options;
  if (!folder.startsWith("/")) {
    throw new TypeError(`Cannot keep dirty logs in ${folder}: the path must be absolute`);
  }
  // Checked now, so that the error reaches the caller and not the first mirror.
  libc.close(openPrivateFolder(libc, folder));
  return new DiskLogs(libc, options);
}

/**
 * As {@linkcode diskLogsOn}, with this process's libc.
 *
 * @throws {UnsupportedError} When libc cannot be called.
 * @throws {TypeError} When the path of the folder is not absolute.
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} When another user owns it or may write to it.
 */
export async function openDiskLogs(options: DiskLogOptions): Promise<DirtyLogs> {
  const action = "keep dirty logs";
  checkOptions(options, OPTIONS, action);
  checkString(options.folder, "folder", action);
  return diskLogsOn((await openSystem("keep dirty logs")).libc, options);
}

/** The path of a log. A uuid may be any text: every character that is not a letter, a digit, _ or - is written in hex. */
export function diskLogPath(folder: string, uuid: string): string {
  if (uuid === "") throw new DirtyLogError("name a log file", ERRNO.EINVAL!, "the uuid is empty");
  let name = "";
  for (const byte of encodeCString(uuid).subarray(0, -1)) {
    const character = String.fromCharCode(byte);
    name += /[A-Za-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  }
  // 128 bytes of uuid become up to 384 characters; file names have at most 255.
  if (name.length > 240) {
    throw new DirtyLogError("name a log file", ERRNO.ENAMETOOLONG!, `${name} is too long`);
  }
  return `${folder.replace(/\/+$/, "")}/${name}.dirtylog`;
}

/** The logs in a folder; logs with the same uuid share their state. */
class DiskLogs implements DirtyLogs {
  readonly #libc: Libc;
  readonly #options: DiskLogOptions;
  readonly #states = new Map<string, DiskState>();

  constructor(libc: Libc, options: DiskLogOptions) {
    this.#libc = libc;
    this.#options = options;
  }

  create(request: DmLogCtr): CreatedLog {
    const geometry = parseGeometry(request, "disk");
    const path = diskLogPath(this.#options.folder, request.uuid);
    const shared = this.#states.get(path);
    shared?.file.check(request.uuid, geometry);
    // If two mirrors with this uuid outlived their server, the second has to wait: its writes are suspended. A refusal
    // later would let them reach one leg only.
    if (request.again && shared?.runner !== undefined) throw busy(path);
    const state = shared ?? this.#open(path, request.uuid, geometry);
    this.#states.set(path, state);
    state.users++;
    const release = (): void => {
      if (--state.users > 0) return;
      this.#states.delete(path);
      state.file.close();
    };
    return { log: new DiskLog(state, geometry, request.again, release) };
  }

  #open(path: string, uuid: string, geometry: LogGeometry): DiskState {
    const { folder } = this.#options;
    const file = LogFile.open(this.#libc, folder, path, uuid, geometry);
    return new DiskState(file, geometry, (damage) => this.#reportDamage(damage));
  }

  /** An error of the callback does not affect the log. */
  #reportDamage(damage: DiskLogDamage): void {
    try {
      this.#options.onDamage?.(damage);
    } catch (error) {
      console.error("kernel-connector: onDamage failed:", error);
    }
  }
}

class DiskLog implements DirtyLog {
  readonly regionSize: number;
  readonly #state: DiskState;
  readonly #recoverAll: boolean;
  readonly #release: () => void;
  #phase: "created" | "running" | "suspended" | "refused";

  constructor(state: DiskState, geometry: LogGeometry, again: boolean, release: () => void) {
    this.regionSize = geometry.regionSize;
    this.#state = state;
    this.#recoverAll = geometry.sync === "sync";
    this.#release = release;
    // A mirror that only lost its server never stopped.
    this.#phase = again ? "running" : "created";
  }

  isClean(region: bigint): boolean {
    const { regions } = this.#usable();
    return regions.isClean(regions.index(region));
  }

  inSync(region: bigint): boolean {
    const { regions } = this.#usable();
    return regions.isInSync(regions.index(region)) && this.#phase !== "created";
  }

  markRegions(regions: readonly bigint[]): void {
    this.#writable().mark(this.#indexes(regions));
  }

  clearRegions(regions: readonly bigint[]): void {
    if (!this.#replaced) this.#usable().clear(this.#indexes(regions));
  }

  flush(): void {
    if (!this.#replaced) this.#usable().flush();
  }

  resyncWork(): bigint | undefined {
    const next = this.#writable().regions.nextWork();
    return next === undefined ? undefined : BigInt(next);
  }

  setRegionSync(region: bigint, inSync: boolean): void {
    const state = this.#writable();
    state.setInSync(state.regions.index(region), inSync);
  }

  /**
   * Once this reaches the number of regions, the kernel requests no more work until the next resume, and it treats a
   * reply during the resume like one after it. Until the mirror runs, therefore, only regions that will be in sync then
   * are counted; for a new log none, because the previous table may still be writing.
   */
  syncCount(): bigint {
    const { regions } = this.#usable();
    if (this.#phase === "running") return BigInt(regions.syncCount);
    return BigInt(this.#phase === "created" || this.#recoverAll ? 0 : regions.cleanSyncCount());
  }

  status(): string {
    return "1 disk";
  }

  /** The hint sets the same variable in the kernel as the sync count. */
  remoteRecovering(): RemoteRecovering {
    const { regions } = this.#usable();
    return {
      recovering: false,
      inSyncHint: BigInt(this.#phase === "running" ? regions.firstOutOfSync() : 0),
    };
  }

  postsuspend(): void {
    if (this.#replaced) return;
    try {
      this.#usable().flush();
    } finally {
      if (this.#phase === "running") this.#phase = "suspended";
      this.#stopRunning();
    }
  }

  resume(again: boolean): void {
    const state = this.#usable();
    if (this.#replaced) {
      // Permanently: the state of this mirror's legs is recorded nowhere.
      this.#phase = "refused";
      throw busy(state.file.path);
    }
    state.runner = this;
    this.#phase = "running";
    if (!again) state.startRecovery(this.#recoverAll);
    state.regions.restartSearch();
    state.flush();
  }

  destroy(): void {
    this.#stopRunning();
    this.#release();
  }

  /** Whether the mirror of another log with this uuid runs. Clears and flushes of a replaced table may arrive late. */
  get #replaced(): boolean {
    return this.#state.runner !== undefined && this.#state.runner !== this;
  }

  #usable(): DiskState {
    if (this.#phase === "refused") throw busy(this.#state.file.path);
    return this.#state;
  }

  #writable(): DiskState {
    if (this.#replaced) throw busy(this.#state.file.path);
    return this.#usable();
  }

  #indexes(regions: readonly bigint[]): number[] {
    return regions.map((region) => this.#state.regions.index(region));
  }

  #stopRunning(): void {
    if (this.#state.runner === this) this.#state.runner = undefined;
  }
}

function busy(path: string): DirtyLogError {
  return new DirtyLogError(
    `use ${path}`,
    ERRNO.EBUSY!,
    "another mirror with this uuid is running: give each its own uuid, and remove the one that was refused",
  );
}
