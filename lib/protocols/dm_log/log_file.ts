import type { Libc } from "../../../ffi/libc.ts";
import { ERRNO } from "../../errors/errno.ts";
import { check } from "../../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import { DM_UUID_LEN } from "./constants.ts";
import { DirtyLogError } from "./log.ts";
import { openLockedFile, openPrivateFolder } from "./private_file.ts";
import { type LogGeometry, Regions } from "./regions.ts";

/** A disk writes a sector completely or not at all. */
const SECTOR = 512;

/** Byte offsets in the first sector of a log file. The checksum is computed with 0 in its own place. */
const HEADER = {
  magic: 0,
  version: 8,
  crc: 12,
  regionSize: 16,
  regionCount: 24,
  targetSectors: 32,
  uuid: 40,
} as const;

/** Byte offsets in each of the other sectors; the checksum covers everything after it. */
const PAGE = { crc: 0, index: 4, clean: 8, synced: 260 } as const;
const BYTES_PER_PAGE = PAGE.synced - PAGE.clean;

/** Regions in one page. */
export const REGIONS_PER_PAGE: number = BYTES_PER_PAGE * 8;

const MAGIC: Uint8Array = new Uint8Array([0x4b, 0x43, 0x44, 0x4c, 0x4f, 0x47, 0x0d, 0x0a]); // "KCDLOG\r\n"
const VERSION = 1;

/** The file of a log: a header, then pages of one sector each. It is locked while it is open. */
export class LogFile {
  /** The path of the file. */
  readonly path: string;
  /** The number of pages. */
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

  /** Opens or creates a log file. A file that is not a log, or of another geometry, is not changed. */
  static open(libc: Libc, folder: string, path: string, uuid: string, geometry: LogGeometry): LogFile {
    const folderFd = openPrivateFolder(libc, folder);
    try {
      const fd = openLockedFile(libc, path);
      const file = new LogFile(libc, path, fd, Math.ceil(geometry.regionCount / REGIONS_PER_PAGE));
      try {
        const found = file.#readHeader();
        // The header of a new file is written last: without one, no reply ever depended on the file.
        if (found !== 0 && found !== SECTOR) {
          throw file.#refusal(`it is not a dirty log: it has ${found} bytes`);
        }
        if (file.#sector.every((byte) => byte === 0)) file.#writeNewPages(geometry);
        else file.#checkHeader(uuid, geometry);
        // At every start: an earlier one may have failed between write and flush.
        file.#writeHeader(uuid, geometry);
        file.sync();
        // A new name reaches stable storage only with its directory.
        check(libc.fdatasync(folderFd), `keep dirty logs in ${folder}`, "fdatasync");
        return file;
      } catch (error) {
        file.close();
        throw error;
      }
    } finally {
      libc.close(folderFd);
    }
  }

  /** Throws if this is not the log of such a mirror. */
  check(uuid: string, geometry: LogGeometry): void {
    this.#readHeader();
    this.#checkHeader(uuid, geometry);
  }

  /** Fills the page's part of the bitmaps; returns false if the page is damaged or cannot be read. */
  readPage(page: number, { clean, synced }: Regions): boolean {
    if (this.#readSector(1 + page) < 0) return false;
    const view = viewOf(this.#sector);
    if (view.getUint32(PAGE.crc, LITTLE) !== crc32(this.#sector.subarray(PAGE.index))) return false;
    if (view.getUint32(PAGE.index, LITTLE) !== page) return false;
    const at = page * BYTES_PER_PAGE;
    const length = Math.min(BYTES_PER_PAGE, clean.length - at);
    clean.set(this.#sector.subarray(PAGE.clean, PAGE.clean + length), at);
    synced.set(this.#sector.subarray(PAGE.synced, PAGE.synced + length), at);
    return true;
  }

  writePage(page: number, { clean, synced }: Regions): void {
    const at = page * BYTES_PER_PAGE;
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

  #writeNewPages(geometry: LogGeometry): void {
    const regions = new Regions(geometry.regionCount, geometry.sync === "nosync");
    for (let page = 0; page < this.pages; page++) this.writePage(page, regions);
    this.sync();
  }

  #writeHeader(uuid: string, geometry: LogGeometry): void {
    const view = viewOf(this.#sector.fill(0));
    this.#sector.set(MAGIC, HEADER.magic);
    view.setUint32(HEADER.version, VERSION, LITTLE);
    view.setBigUint64(HEADER.regionSize, BigInt(geometry.regionSize), LITTLE);
    view.setBigUint64(HEADER.regionCount, BigInt(geometry.regionCount), LITTLE);
    view.setBigUint64(HEADER.targetSectors, BigInt(geometry.targetSectors), LITTLE);
    this.#sector.set(encodeCString(uuid), HEADER.uuid);
    view.setUint32(HEADER.crc, crc32(this.#sector), LITTLE);
    this.#writeSector(0);
  }

  #checkHeader(uuid: string, geometry: LogGeometry): void {
    const view = viewOf(this.#sector);
    const crc = view.getUint32(HEADER.crc, LITTLE);
    const version = view.getUint32(HEADER.version, LITTLE);
    if (!MAGIC.every((byte, i) => this.#sector[i] === byte)) throw this.#refusal("it is not a dirty log");
    view.setUint32(HEADER.crc, 0, LITTLE);
    if (crc32(this.#sector) !== crc) throw this.#refusal("the checksum of its header is wrong", ERRNO.EIO!);
    if (version !== VERSION) {
      throw this.#refusal(`its version is ${version}; this program supports ${VERSION}`);
    }
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

  #readHeader(): number {
    return check(this.#readSector(0), `read the dirty log ${this.path}`, "pread");
  }

  /** Returns the number of bytes read; a regular file yields less only at its end, and the rest is zeros. */
  #readSector(sector: number): number {
    this.#sector.fill(0);
    return this.#libc.pread(this.#fd, this.#sector, SECTOR, sector * SECTOR);
  }

  #writeSector(sector: number): void {
    const written = this.#libc.pwrite(this.#fd, this.#sector, SECTOR, sector * SECTOR);
    check(written, `write the dirty log ${this.path}`, "pwrite");
    if (written !== SECTOR) {
      throw new DirtyLogError(
        `write the dirty log ${this.path}`,
        ERRNO.ENOSPC!,
        `only ${written} of ${SECTOR} bytes were written`,
      );
    }
  }
}

const CRC_TABLE: Uint32Array = crcTable();

/** CRC-32 as in zlib. */
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
