import { ERRNO } from "../../errors/errno.ts";
import { DirtyLogError } from "./log.ts";
import type { DmLogCtr } from "./message.ts";

/** The most regions that a log can have: its two bitmaps then take 32 MiB. */
const MAX_REGIONS = 2 ** 27;

/** A log as the table line describes it. */
export interface LogGeometry {
  /** Sectors of 512 bytes in the mirror. */
  readonly targetSectors: number;
  /** Sectors of 512 bytes in a region. */
  readonly regionSize: number;
  /** Regions in the mirror; the last may be shorter. */
  readonly regionCount: number;
  /** "sync": recover everything at each start. "nosync": a new log starts in sync. */
  readonly sync: "sync" | "nosync" | undefined;
}

/**
 * Reads `[target length, log's name, region size, "sync" | "nosync"]`, the arguments of a `core` or `disk` log.
 *
 * @throws {DirtyLogError} EINVAL.
 */
export function parseGeometry(request: DmLogCtr, name: string): LogGeometry {
  const [length = "", found = "", size = "", sync, ...more] = request.args;
  if (found !== name) throw refusal(`its name is ${JSON.stringify(found)}, not "${name}"`);
  const targetSectors = parseSectors("the length of the target", length);
  const regionSize = parseSectors("the region size", size);
  // The kernel stores the size in 32 bits and requires a power of two.
  if (regionSize > 2 ** 31 || !Number.isInteger(Math.log2(regionSize))) {
    throw refusal(`the region size must be a power of two up to 2147483648, not ${size}`);
  }
  if ((sync !== undefined && sync !== "sync" && sync !== "nosync") || more.length > 0) {
    throw refusal(
      `after the region size come "sync", "nosync" or nothing, not ${JSON.stringify([sync, ...more])}`,
    );
  }
  const regionCount = Math.ceil(targetSectors / regionSize);
  if (regionCount > MAX_REGIONS) throw refusal(`${regionCount} regions are more than ${MAX_REGIONS}`);
  return { targetSectors, regionSize, regionCount, sync };
}

/** The state of all regions: two bits each. */
export class Regions {
  /** The number of regions. */
  readonly count: number;
  /** A bit for each region that is not being written. */
  readonly clean: Uint8Array;
  /** A bit for each region that is the same on all legs. */
  readonly synced: Uint8Array;
  #syncCount = 0;
  /** Where the search for work continues: a region that could not be recovered is not retried before a resume. */
  #searchFrom = 0;
  #recovering: number | undefined;

  /** `count` regions, all dirty and out of sync, or all clean and in sync. */
  constructor(count: number, inSync: boolean) {
    this.count = count;
    this.clean = new Uint8Array(Math.ceil(count / 8));
    this.synced = new Uint8Array(this.clean.length);
    this.reset(inSync);
  }

  /** Makes all regions dirty and out of sync, or clean and in sync. */
  reset(inSync: boolean): void {
    this.clean.fill(inSync ? 0xff : 0);
    this.synced.fill(inSync ? 0xff : 0);
    this.recount();
  }

  /** Call this after changing the bitmaps directly. */
  recount(): void {
    const unused = this.clean.length * 8 - this.count;
    if (unused > 0) {
      this.clean[this.clean.length - 1]! &= 0xff >> unused;
      this.synced[this.synced.length - 1]! &= 0xff >> unused;
    }
    this.#syncCount = 0;
    for (const byte of this.synced) this.#syncCount += bitsIn(byte);
  }

  /** The number of regions in sync. */
  get syncCount(): number {
    return this.#syncCount;
  }

  /** The number of regions in sync after {@linkcode markDirtyOutOfSync}. */
  cleanSyncCount(): number {
    let count = 0;
    for (let i = 0; i < this.synced.length; i++) count += bitsIn(this.synced[i]! & this.clean[i]!);
    return count;
  }

  /**
   * Converts a region number of the kernel.
   *
   * @throws {DirtyLogError} EINVAL when there is no such region.
   */
  index(region: bigint): number {
    if (region >= BigInt(this.count)) {
      throw new DirtyLogError("find a region", ERRNO.EINVAL!, `${region} is not below ${this.count}`);
    }
    return Number(region);
  }

  /** Whether a region is not being written. */
  isClean(index: number): boolean {
    return bit(this.clean, index);
  }

  /** Whether a region is the same on all legs. */
  isInSync(index: number): boolean {
    return bit(this.synced, index);
  }

  /** Returns whether that changed anything. */
  setClean(index: number, value: boolean): boolean {
    return setBit(this.clean, index, value);
  }

  /** Returns whether that changed anything. The region is no longer being recovered. */
  setInSync(index: number, value: boolean): boolean {
    if (this.#recovering === index) this.#recovering = undefined;
    if (!setBit(this.synced, index, value)) return false;
    this.#syncCount += value ? 1 : -1;
    return true;
  }

  /** The next region to recover; the same one until it is reported. */
  nextWork(): number | undefined {
    if (this.#recovering === undefined) {
      const next = this.#firstOutOfSync(this.#searchFrom);
      this.#searchFrom = next === undefined ? this.count : next + 1;
      this.#recovering = next;
    }
    return this.#recovering;
  }

  /** The lowest region out of sync, or `count`. */
  firstOutOfSync(): number {
    return this.#firstOutOfSync(0) ?? this.count;
  }

  /** Restarts the search for work. */
  restartSearch(): void {
    this.#searchFrom = 0;
    this.#recovering = undefined;
  }

  /** Puts dirty regions out of sync: a region that is dirty when a mirror starts was being written when it crashed. */
  markDirtyOutOfSync(): void {
    for (let i = 0; i < this.synced.length; i++) this.synced[i]! &= this.clean[i]!;
    this.recount();
  }

  #firstOutOfSync(from: number): number | undefined {
    for (let index = from; index < this.count;) {
      if ((index & 7) === 0 && this.synced[index >> 3] === 0xff) index += 8;
      else if (this.isInSync(index)) index++;
      else return index;
    }
    return undefined;
  }
}

function parseSectors(what: string, text: string): number {
  const sectors = Number(text);
  if (!/^[0-9]+$/.test(text) || sectors === 0 || !Number.isSafeInteger(sectors)) {
    throw refusal(`${what} must be a number of sectors, not ${JSON.stringify(text)}`);
  }
  return sectors;
}

function refusal(explanation: string): DirtyLogError {
  return new DirtyLogError("make a dirty log", ERRNO.EINVAL!, explanation);
}

function bit(bits: Uint8Array, index: number): boolean {
  return (bits[index >> 3]! & (1 << (index & 7))) !== 0;
}

function setBit(bits: Uint8Array, index: number, value: boolean): boolean {
  const mask = 1 << (index & 7);
  const byte = bits[index >> 3]!;
  if (((byte & mask) !== 0) === value) return false;
  bits[index >> 3] = byte ^ mask;
  return true;
}

function bitsIn(byte: number): number {
  let count = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) count++;
  return count;
}
