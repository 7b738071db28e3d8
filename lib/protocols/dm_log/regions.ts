import { ERRNO } from "../../errors/errno.ts";
import { DirtyLogError } from "./log.ts";
import type { DmLogCtr } from "./message.ts";

/** Most regions that a log here can have: its two bitmaps then take 32 MiB. */
const MAX_REGIONS = 2 ** 27;

/** What the table line says of a log. */
export interface LogGeometry {
  /** Sectors of 512 bytes in the mirror. */
  readonly targetSectors: number;
  /** Sectors of 512 bytes in a region. */
  readonly regionSize: number;
  /** Regions in the mirror; the last may be shorter. */
  readonly regionCount: number;
  /** "sync": recover everything at each start. "nosync": a new log begins in sync. */
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
  // The kernel keeps the size in 32 bits, and divides by it as a power of two.
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
  /** How many there are. */
  readonly count: number;
  /** A bit for each region that is not being written. */
  readonly clean: Uint8Array;
  /** A bit for each region that is the same on all legs. */
  readonly synced: Uint8Array;
  #syncCount = 0;
  /** Where the search for work goes on: a region that could not be recovered is not tried again before a resume. */
  #searchFrom = 0;
  #recovering: number | undefined;

  /** Of `count` regions, all dirty and not in sync, or all clean and in sync. */
  constructor(count: number, inSync: boolean) {
    this.count = count;
    this.clean = new Uint8Array(Math.ceil(count / 8));
    this.synced = new Uint8Array(this.clean.length);
    this.reset(inSync);
  }

  /** Makes all regions dirty and not in sync, or clean and in sync. */
  reset(inSync: boolean): void {
    this.clean.fill(inSync ? 0xff : 0);
    this.synced.fill(inSync ? 0xff : 0);
    this.recount();
  }

  /** To be called after the bitmaps were written to from outside. */
  recount(): void {
    const unused = this.clean.length * 8 - this.count;
    if (unused > 0) {
      this.clean[this.clean.length - 1]! &= 0xff >> unused;
      this.synced[this.synced.length - 1]! &= 0xff >> unused;
    }
    this.#syncCount = 0;
    for (const byte of this.synced) this.#syncCount += bitsIn(byte);
  }

  /** How many are in sync. */
  get syncCount(): number {
    return this.#syncCount;
  }

  /** How many will be in sync after {@linkcode distrustDirty}. */
  cleanSyncCount(): number {
    let count = 0;
    for (let i = 0; i < this.synced.length; i++) count += bitsIn(this.synced[i]! & this.clean[i]!);
    return count;
  }

  /**
   * A region number as the kernel gives it.
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

  /** Answers whether that changed anything. */
  setClean(index: number, value: boolean): boolean {
    return setBit(this.clean, index, value);
  }

  /** Answers whether that changed anything. The region is no more being recovered. */
  setInSync(index: number, value: boolean): boolean {
    if (this.#recovering === index) this.#recovering = undefined;
    if (!setBit(this.synced, index, value)) return false;
    this.#syncCount += value ? 1 : -1;
    return true;
  }

  /** The next region to recover, the same one again while it has not been reported. */
  nextWork(): number | undefined {
    if (this.#recovering === undefined) {
      const next = this.#firstOutOfSync(this.#searchFrom);
      this.#searchFrom = next === undefined ? this.count : next + 1;
      this.#recovering = next;
    }
    return this.#recovering;
  }

  /** The lowest region that is not in sync, or `count`. */
  firstOutOfSync(): number {
    return this.#firstOutOfSync(0) ?? this.count;
  }

  /** Begins the search for work anew. */
  restartSearch(): void {
    this.#searchFrom = 0;
    this.#recovering = undefined;
  }

  /** What is being written when a mirror starts was being written when it crashed. */
  distrustDirty(): void {
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
