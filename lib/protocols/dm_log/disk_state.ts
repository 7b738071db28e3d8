import { type LogFile, REGIONS_PER_PAGE } from "./log_file.ts";
import type { LogGeometry } from "./regions.ts";
import { Regions } from "./regions.ts";

/** A damaged part of a log file: the machine crashed during a write, or the disk is failing. */
export interface DiskLogDamage {
  /** The path of the file. */
  readonly path: string;
  /** The first region whose state is lost. */
  readonly firstRegion: number;
  /** The number of regions. */
  readonly regionCount: number;
}

/** The state of the regions of one uuid, in memory and in its file, shared by a table and its replacement. */
export class DiskState {
  readonly file: LogFile;
  readonly regions: Regions;
  /** The log of the running mirror: no other may write. */
  runner: object | undefined;
  /** The number of logs that use it. */
  users = 0;
  /** Pages that differ from the file. */
  readonly #changed = new Set<number>();
  /** Whether one of them must be in the file before the next reply: it marks a region, or puts one out of sync. */
  #mustWrite = false;
  /** Whether anything was written since the last successful flush. */
  #unflushed = false;

  constructor(file: LogFile, geometry: LogGeometry, onDamage: (damage: DiskLogDamage) => void) {
    this.file = file;
    this.regions = new Regions(geometry.regionCount, false);
    for (let page = 0; page < file.pages; page++) {
      if (file.readPage(page, this.regions)) continue;
      const firstRegion = page * REGIONS_PER_PAGE;
      const regionCount = Math.min(REGIONS_PER_PAGE, geometry.regionCount - firstRegion);
      onDamage({ path: file.path, firstRegion, regionCount });
    }
    this.regions.recount();
    // Write intact pages, too: if the flush of a previous server failed, they may be in the page cache only.
    this.#changeAll();
  }

  /** Marks regions as dirty; they are in the file when this returns. */
  mark(indexes: readonly number[]): void {
    for (const index of indexes) this.#noteChange(index, this.regions.setClean(index, false));
    if (this.#mustWrite) this.#write();
  }

  /** Marks regions as clean. Losing this only costs a recovery, so it waits for the next write. */
  clear(indexes: readonly number[]): void {
    for (const index of indexes) {
      if (this.regions.setClean(index, true)) this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    }
  }

  setInSync(index: number, inSync: boolean): void {
    // A region in sync as well: if this program crashed and the region seemed out of sync, only one leg would be written.
    this.#noteChange(index, this.regions.setInSync(index, inSync));
    if (this.#mustWrite) this.#write();
    // The kernel does not flush after a leg fails, and a region out of sync must never count as in sync.
    if (!inSync) this.flush();
  }

  /** Writes everything to stable storage. */
  flush(): void {
    this.#write();
    if (!this.#unflushed) return;
    try {
      this.file.sync();
    } catch (error) {
      // The kernel reports the error once and then treats the pages as clean: the next flush must write them again.
      this.#changeAll();
      throw error;
    }
    this.#unflushed = false;
  }

  /** A mirror starts: dirty regions, or with `all` every region, may differ between its legs. */
  startRecovery(all: boolean): void {
    if (all) this.regions.reset(false);
    else this.regions.markDirtyOutOfSync();
    this.#changeAll();
  }

  #noteChange(index: number, changed: boolean): void {
    if (!changed) return;
    this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    this.#mustWrite = true;
  }

  #changeAll(): void {
    for (let page = 0; page < this.file.pages; page++) this.#changed.add(page);
    this.#mustWrite = true;
  }

  #write(): void {
    for (const page of this.#changed) {
      this.file.writePage(page, this.regions);
      this.#changed.delete(page);
      this.#unflushed = true;
    }
    this.#mustWrite = false;
  }
}
