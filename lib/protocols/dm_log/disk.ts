import type { Libc } from "../../../ffi/libc.ts";
import { openMachine } from "../../../ffi/open.ts";
import { ERRNO } from "../../errors/errno.ts";
import { check } from "../../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/host.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import { DM_UUID_LEN } from "./constants.ts";
import {
  type CreatedLog,
  type DirtyLog,
  DirtyLogError,
  type DirtyLogs,
  type RemoteRecovering,
} from "./log.ts";
import type { DmLogCtr } from "./message.ts";
import { type LogGeometry, parseGeometry, Regions } from "./regions.ts";

const O_RDONLY = 0;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_CLOEXEC = 0o2000000;
/** Same number on x86-64 only; arm64 has it elsewhere. */
const O_NOFOLLOW = { x64: 0o400000, arm64: 0o100000 } as const;

/** A disk writes a sector whole or not at all. */
const SECTOR = 512;

/** Byte offsets in the first sector of a log file. The checksum is that of the sector with 0 in its place. */
const HEADER = {
  magic: 0,
  version: 8,
  crc: 12,
  regionSize: 16,
  regionCount: 24,
  targetSectors: 32,
  uuid: 40,
} as const;

/** Byte offsets in each of the other sectors; the checksum is that of all that follows it. */
const PAGE = { crc: 0, index: 4, clean: 8, synced: 260, SIZE: SECTOR } as const;
const BYTES_PER_PAGE = PAGE.synced - PAGE.clean;
const REGIONS_PER_PAGE = BYTES_PER_PAGE * 8;

const MAGIC: Uint8Array = new Uint8Array([0x4b, 0x43, 0x44, 0x4c, 0x4f, 0x47, 0x0d, 0x0a]); // "KCDLOG\r\n"
const VERSION = 1;

/** Where logs lie, and whom to tell what was found wrong with them. */
export interface DiskLogOptions {
  /** An absolute path of an existing folder. It must not lie on a mirror whose log it holds. */
  readonly folder: string;
  /** Told of sectors with a wrong checksum: their regions will be recovered. */
  readonly onDamage?: (damage: DiskLogDamage) => void;
}

/** Part of a log file that was not as it had been written: the machine crashed while it was, or the disk is failing. */
export interface DiskLogDamage {
  /** The file. */
  readonly path: string;
  /** The first region whose state is lost. */
  readonly firstRegion: number;
  /** How many regions that are. */
  readonly regionCount: number;
}

/**
 * Logs in files, one for each uuid, `FOLDER/UUID.dirtylog`: they survive a crash of this program, of the machine, and
 * the mirror's own stops. What makes a region less trusted is in the file before the kernel gets its answer, and on
 * stable storage before the answer to the flush that the kernel waits for before it writes.
 *
 * After a crash of the machine the regions that were being written are recovered; after a crash of this program alone
 * nothing is.
 *
 * Table line: `0 32768 mirror userspace 3 UUID disk 1024 2 /dev/a 0 /dev/b 0`. After the region size, `nosync` makes a
 * new log begin in sync, and `sync` recovers everything at each start (either makes the 3 a 4).
 */
export function diskLogsOn(libc: Libc, options: DiskLogOptions): DirtyLogs {
  const { folder } = options;
  if (!folder.startsWith("/")) {
    throw new TypeError(`Cannot keep dirty logs in ${folder}: the path must be absolute`);
  }
  return { create: (request) => createDiskLog(libc, options, request) };
}

/**
 * As {@linkcode diskLogsOn}, on this machine.
 *
 * @throws {UnsupportedError} Where libc cannot be called.
 * @throws {TypeError} When the folder's path is not absolute.
 */
export async function openDiskLogs(options: DiskLogOptions): Promise<DirtyLogs> {
  return diskLogsOn((await openMachine("keep dirty logs")).libc, options);
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

function createDiskLog(libc: Libc, options: DiskLogOptions, request: DmLogCtr): CreatedLog {
  const geometry = parseGeometry(request, "disk");
  const path = diskLogPath(options.folder, request.uuid);
  const file = LogFile.open(libc, path, request.uuid, geometry);
  try {
    return { log: new DiskLog(file, geometry, options.onDamage) };
  } catch (error) {
    file.close();
    throw error;
  }
}

class DiskLog implements DirtyLog {
  readonly regionSize: number;
  readonly #file: LogFile;
  readonly #forceSync: boolean;
  readonly #onDamage: ((damage: DiskLogDamage) => void) | undefined;
  readonly #regions: Regions;
  /** Pages that are not in the file as they are here. */
  readonly #changed = new Set<number>();
  /** Pages that were reported as damaged. */
  readonly #reported = new Set<number>();
  /** Whether something was written since the last flush. */
  #unflushed = false;

  constructor(file: LogFile, geometry: LogGeometry, onDamage: ((damage: DiskLogDamage) => void) | undefined) {
    this.regionSize = geometry.regionSize;
    this.#file = file;
    this.#forceSync = geometry.sync === "sync";
    this.#onDamage = onDamage;
    this.#regions = new Regions(geometry.regionCount, false);
    this.#load();
  }

  isClean(region: bigint): boolean {
    return this.#regions.isClean(this.#regions.index(region));
  }

  inSync(region: bigint): boolean {
    return this.#regions.isInSync(this.#regions.index(region));
  }

  markRegions(regions: readonly bigint[]): void {
    let changed = false;
    for (const region of regions) {
      const index = this.#regions.index(region);
      if (!this.#regions.setClean(index, false)) continue;
      this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
      changed = true;
    }
    if (changed) this.#write();
  }

  clearRegions(regions: readonly bigint[]): void {
    // Forgotten, it costs a recovery: so it waits for the next flush.
    for (const region of regions) {
      const index = this.#regions.index(region);
      if (this.#regions.setClean(index, true)) this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    }
  }

  flush(): void {
    this.#write();
    if (!this.#unflushed) return;
    this.#file.sync();
    this.#unflushed = false;
  }

  resyncWork(): bigint | undefined {
    const next = this.#regions.nextWork();
    return next === undefined ? undefined : BigInt(next);
  }

  setRegionSync(region: bigint, inSync: boolean): void {
    const index = this.#regions.index(region);
    if (!this.#regions.setInSync(index, inSync)) return;
    this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    // Taken for out of sync after a crash of this program, a region would be written on one leg only.
    this.#write();
    // No flush follows a failed leg, and a region that is not the same must never be taken for one that is.
    if (!inSync) this.flush();
  }

  syncCount(): bigint {
    return BigInt(this.#regions.syncCount);
  }

  status(): string {
    return "1 disk";
  }

  remoteRecovering(): RemoteRecovering {
    return { recovering: false, inSyncHint: BigInt(this.#regions.firstOutOfSync()) };
  }

  postsuspend(): void {
    this.flush();
  }

  resume(again: boolean): void {
    // While a table is replaced, the log of the old one writes the same file until it is suspended.
    this.#load();
    if (!again) {
      if (this.#forceSync) this.#regions.reset(false);
      else this.#regions.distrustDirty();
      for (let page = 0; page < this.#file.pages; page++) this.#changed.add(page);
    }
    this.#regions.restartSearch();
    this.flush();
  }

  destroy(): void {
    this.#file.close();
  }

  #load(): void {
    const { clean, synced, count } = this.#regions;
    this.#changed.clear();
    for (let page = 0; page < this.#file.pages; page++) {
      const from = page * BYTES_PER_PAGE;
      if (this.#file.readPage(page, clean, synced, from)) continue;
      clean.fill(0, from, from + BYTES_PER_PAGE);
      synced.fill(0, from, from + BYTES_PER_PAGE);
      this.#changed.add(page);
      if (this.#reported.has(page)) continue;
      this.#reported.add(page);
      const firstRegion = page * REGIONS_PER_PAGE;
      const regionCount = Math.min(REGIONS_PER_PAGE, count - firstRegion);
      this.#onDamage?.({ path: this.#file.path, firstRegion, regionCount });
    }
    this.#regions.recount();
  }

  #write(): void {
    for (const page of this.#changed) {
      this.#file.writePage(page, this.#regions.clean, this.#regions.synced, page * BYTES_PER_PAGE);
      this.#changed.delete(page);
      this.#unflushed = true;
    }
  }
}

/** The file of a log: a header, then pages of a sector each. */
class LogFile {
  /** The file. */
  readonly path: string;
  readonly pages: number;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #sector: Uint8Array<ArrayBuffer> = fixedBytes(SECTOR);
  #open = true;

  private constructor(libc: Libc, path: string, fd: number, pages: number) {
    this.#libc = libc;
    this.path = path;
    this.#fd = fd;
    this.pages = pages;
  }

  /** Opens a log file, or makes a new one. What is something else, or of another size, is left alone. */
  static open(libc: Libc, path: string, uuid: string, geometry: LogGeometry): LogFile {
    const flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW[libc.arch];
    const fd = check(libc.open(encodeCString(path), flags, 0o600), `open the dirty log ${path}`, "open");
    const file = new LogFile(libc, path, fd, Math.ceil(geometry.regionCount / REGIONS_PER_PAGE));
    try {
      const found = file.#readSector(0);
      // The header comes last into a new file: without one, nothing was ever answered from it.
      if (found !== 0 && found !== SECTOR) {
        throw file.#refusal(`it is not a dirty log: it has ${found} bytes`);
      }
      if (file.#sector.every((byte) => byte === 0)) file.#make(uuid, geometry);
      else file.#checkHeader(uuid, geometry);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Fills the bitmaps from `at` on; false when the page is not as it was written. */
  readPage(page: number, clean: Uint8Array, synced: Uint8Array, at: number): boolean {
    this.#readSector(1 + page);
    const view = viewOf(this.#sector);
    if (view.getUint32(PAGE.crc, LITTLE) !== crc32(this.#sector.subarray(PAGE.index))) return false;
    if (view.getUint32(PAGE.index, LITTLE) !== page) return false;
    const length = Math.min(BYTES_PER_PAGE, clean.length - at);
    clean.set(this.#sector.subarray(PAGE.clean, PAGE.clean + length), at);
    synced.set(this.#sector.subarray(PAGE.synced, PAGE.synced + length), at);
    return true;
  }

  writePage(page: number, clean: Uint8Array, synced: Uint8Array, at: number): void {
    const view = viewOf(this.#sector.fill(0));
    view.setUint32(PAGE.index, page, LITTLE);
    this.#sector.set(clean.subarray(at, at + BYTES_PER_PAGE), PAGE.clean);
    this.#sector.set(synced.subarray(at, at + BYTES_PER_PAGE), PAGE.synced);
    view.setUint32(PAGE.crc, crc32(this.#sector.subarray(PAGE.index)), LITTLE);
    this.#writeSector(1 + page);
  }

  sync(): void {
    check(this.#libc.fdatasync(this.#fd), `write the dirty log ${this.path}`, "fdatasync");
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#libc.close(this.#fd);
  }

  #make(uuid: string, geometry: LogGeometry): void {
    const { clean, synced } = new Regions(geometry.regionCount, geometry.sync === "nosync");
    for (let page = 0; page < this.pages; page++) this.writePage(page, clean, synced, page * BYTES_PER_PAGE);
    this.sync();
    const view = viewOf(this.#sector.fill(0));
    this.#sector.set(MAGIC, HEADER.magic);
    view.setUint32(HEADER.version, VERSION, LITTLE);
    view.setBigUint64(HEADER.regionSize, BigInt(geometry.regionSize), LITTLE);
    view.setBigUint64(HEADER.regionCount, BigInt(geometry.regionCount), LITTLE);
    view.setBigUint64(HEADER.targetSectors, BigInt(geometry.targetSectors), LITTLE);
    this.#sector.set(encodeCString(uuid), HEADER.uuid);
    view.setUint32(HEADER.crc, crc32(this.#sector), LITTLE);
    this.#writeSector(0);
    this.sync();
    this.#syncFolder();
  }

  /** A new name is on stable storage only with its folder. */
  #syncFolder(): void {
    const folder = this.path.slice(0, this.path.lastIndexOf("/") + 1);
    const action = `keep dirty logs in ${folder}`;
    const fd = check(this.#libc.open(encodeCString(folder), O_RDONLY | O_CLOEXEC), action, "open");
    const result = this.#libc.fdatasync(fd);
    this.#libc.close(fd);
    check(result, action, "fdatasync");
  }

  #checkHeader(uuid: string, geometry: LogGeometry): void {
    const view = viewOf(this.#sector);
    const crc = view.getUint32(HEADER.crc, LITTLE);
    const version = view.getUint32(HEADER.version, LITTLE);
    if (!MAGIC.every((byte, i) => this.#sector[i] === byte)) throw this.#refusal("it is not a dirty log");
    view.setUint32(HEADER.crc, 0, LITTLE);
    if (crc32(this.#sector) !== crc) throw this.#refusal("the checksum of its header is wrong", ERRNO.EIO!);
    if (version !== VERSION) throw this.#refusal(`its version is ${version}, and ${VERSION} is known here`);
    const found = decodeCString(this.#sector, HEADER.uuid, HEADER.uuid + DM_UUID_LEN);
    if (found !== uuid) throw this.#refusal(`it is the log of ${JSON.stringify(found)}`);
    for (const name of ["regionSize", "regionCount", "targetSectors"] as const) {
      const value = view.getBigUint64(HEADER[name], LITTLE);
      if (value !== BigInt(geometry[name])) {
        throw this.#refusal(`its ${name} is ${value}, not ${geometry[name]}`);
      }
    }
  }

  #refusal(explanation: string, errno: number = ERRNO.EINVAL!): DirtyLogError {
    return new DirtyLogError(`use ${this.path}`, errno, explanation);
  }

  /** Answers how many bytes there were: a regular file gives less only at its end, behind which are zeros. */
  #readSector(sector: number): number {
    this.#sector.fill(0);
    const found = this.#libc.pread(this.#fd, this.#sector, SECTOR, sector * SECTOR);
    return check(found, `read the dirty log ${this.path}`, "pread");
  }

  #writeSector(sector: number): void {
    const written = this.#libc.pwrite(this.#fd, this.#sector, SECTOR, sector * SECTOR);
    check(written, `write the dirty log ${this.path}`, "pwrite");
    if (written !== SECTOR) {
      throw new DirtyLogError(
        `write the dirty log ${this.path}`,
        ERRNO.ENOSPC!,
        `only ${written} bytes fitted`,
      );
    }
  }
}

const CRC_TABLE: Uint32Array = crcTable();

/** CRC-32 as zlib's. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffff_ffff) >>> 0;
}

function crcTable(): Uint32Array {
  const table = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xedb8_8320;
    table[byte] = crc;
  }
  return table;
}
