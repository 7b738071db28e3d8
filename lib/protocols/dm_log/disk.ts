import { checkFunction, checkOptions, checkString, type OptionChecks } from "../../errors/arguments.ts";
import type { Libc } from "../../../ffi/libc.ts";
import { openSystem } from "../../../ffi/open.ts";
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

/** Where logs lie, and whom to tell what was found wrong with them. */
export interface DiskLogOptions {
  /**
   * An absolute path of an existing folder that only the server's user and root may write. It must not lie on a mirror
   * whose log it holds.
   */
  readonly folder: string;
  /** Told of sectors with a wrong checksum: their regions will be recovered. */
  readonly onDamage?: (damage: DiskLogDamage) => void;
}

const OPTIONS: OptionChecks<DiskLogOptions> = { folder: checkString, onDamage: checkFunction };

/**
 * Logs in files, one for each uuid, `FOLDER/UUID.dirtylog`: they survive a crash of this program, of the machine, and
 * the mirror's own stops. What makes a region less trusted is in the file before the kernel gets its answer, and on
 * stable storage before the answer to the flush that the kernel waits for before it writes.
 *
 * After a crash of the machine the regions that were being written are recovered; after a crash of this program alone
 * nothing is.
 *
 * A file is locked while its log is in use: another server is refused it (EBUSY), and so is a second mirror that begins
 * to run with the same uuid. A table and the one that replaces it share their log.
 *
 * Table line: `0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0`. After the region size, `nosync` makes a
 * new log begin in sync, and `sync` recovers everything at each start (either makes the 3 a 4).
 *
 * @throws {TypeError} When the folder's path is not absolute.
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} When somebody else owns it or may write it.
 */
export function diskLogsOn(libc: Libc, options: DiskLogOptions): DirtyLogs {
  const { folder } = options;
  if (!folder.startsWith("/")) {
    throw new TypeError(`Cannot keep dirty logs in ${folder}: the path must be absolute`);
  }
  // Here already, so that it is heard by who names the folder and not by the first mirror.
  libc.close(openPrivateFolder(libc, folder));
  return new DiskLogs(libc, options);
}

/**
 * As {@linkcode diskLogsOn}, on this machine.
 *
 * @throws {UnsupportedError} Where libc cannot be called.
 * @throws {TypeError} When the folder's path is not absolute.
 * @throws {SyscallError} When it cannot be opened.
 * @throws {DirtyLogError} When somebody else owns it or may write it.
 */
export async function openDiskLogs(options: DiskLogOptions): Promise<DirtyLogs> {
  const action = "keep dirty logs";
  checkOptions(options, OPTIONS, action);
  checkString(options.folder, "folder", action);
  return diskLogsOn((await openSystem("keep dirty logs")).libc, options);
}

/** The path of a log. A uuid is any text: what could leave the folder or the file system's limits is spelled in hex. */
export function diskLogPath(folder: string, uuid: string): string {
  if (uuid === "") throw new DirtyLogError("name a log file", ERRNO.EINVAL!, "the uuid is empty");
  let name = "";
  for (const byte of encodeCString(uuid).subarray(0, -1)) {
    const character = String.fromCharCode(byte);
    name += /[A-Za-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, "0")}`;
  }
  // 128 bytes of uuid are at most 384 characters, and names end at 255.
  if (name.length > 240) {
    throw new DirtyLogError("name a log file", ERRNO.ENAMETOOLONG!, `${name} is too long`);
  }
  return `${folder.replace(/\/+$/, "")}/${name}.dirtylog`;
}

/** The logs of a folder; those of one uuid share their state. */
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
    // Of two mirrors that lived on without a server, one waits: its writes stand still, where a refusal later would
    // let them reach one leg only.
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
    return new DiskState(file, geometry, (damage) => this.#tellDamage(damage));
  }

  /** Whatever the listener does, the log is there. */
  #tellDamage(damage: DiskLogDamage): void {
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
  #phase: "made" | "running" | "suspended" | "refused";

  constructor(state: DiskState, geometry: LogGeometry, again: boolean, release: () => void) {
    this.regionSize = geometry.regionSize;
    this.#state = state;
    this.#recoverAll = geometry.sync === "sync";
    this.#release = release;
    // One that only lost its server never stopped.
    this.#phase = again ? "running" : "made";
  }

  isClean(region: bigint): boolean {
    const { regions } = this.#usable();
    return regions.isClean(regions.index(region));
  }

  inSync(region: bigint): boolean {
    const { regions } = this.#usable();
    return regions.isInSync(regions.index(region)) && this.#phase !== "made";
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
   * Once this reaches the number of regions, the kernel asks for no more work until the next resume, and an answer that
   * it reads while it resumes counts as one after. So until the mirror runs, only what will be in sync then is counted:
   * of a new log nothing, as the table before it may still be writing.
   */
  syncCount(): bigint {
    const { regions } = this.#usable();
    if (this.#phase === "running") return BigInt(regions.syncCount);
    return BigInt(this.#phase === "made" || this.#recoverAll ? 0 : regions.cleanSyncCount());
  }

  status(): string {
    return "1 disk";
  }

  /** The hint sets the same variable in the kernel as the count does. */
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
      this.#leave();
    }
  }

  resume(again: boolean): void {
    const state = this.#usable();
    if (this.#replaced) {
      // For good: what this mirror is like on its legs is nowhere written down.
      this.#phase = "refused";
      throw busy(state.file.path);
    }
    state.runner = this;
    this.#phase = "running";
    if (!again) state.distrust(this.#recoverAll);
    state.regions.restartSearch();
    state.flush();
  }

  destroy(): void {
    this.#leave();
    this.#release();
  }

  /** Whether the mirror of another log of this uuid runs. Clears and flushes of a table that was replaced come late. */
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

  #leave(): void {
    if (this.#state.runner === this) this.#state.runner = undefined;
  }
}

function busy(path: string): DirtyLogError {
  return new DirtyLogError(
    `use ${path}`,
    ERRNO.EBUSY!,
    "another mirror with this uuid runs: give each a uuid of its own, and remove the one that was refused",
  );
}
