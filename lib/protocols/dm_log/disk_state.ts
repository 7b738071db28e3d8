import { type LogFile, REGIONS_PER_PAGE } from "./log_file.ts";
import type { LogGeometry } from "./regions.ts";
import { Regions } from "./regions.ts";

/** Part of a log file that was not as it had been written: the machine crashed while it was, or the disk is failing. */
export interface DiskLogDamage {
  /** The file. */
  readonly path: string;
  /** The first region whose state is lost. */
  readonly firstRegion: number;
  /** How many regions that are. */
  readonly regionCount: number;
}

/** The state of the regions of one uuid, in memory and in its file. A table and the one that replaces it share it. */
export class DiskState {
  readonly file: LogFile;
  readonly regions: Regions;
  /** The log of the mirror that runs: no other may write. */
  runner: object | undefined;
  /** How many logs use it. */
  users = 0;
  /** Pages that are not in the file as they are here. */
  readonly #changed = new Set<number>();
  /** Whether one of them makes a region less trusted, so that no answer may be given before it is in the file. */
  #owed = false;
  /** Whether something was written since the last flush that succeeded. */
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
    // Also what reads well: of a server before this one it may be in the page cache only, its flush having failed.
    this.#changeAll();
  }

  /** Regions that will be written, in the file when this returns. */
  mark(indexes: readonly number[]): void {
    for (const index of indexes) this.#distrusted(index, this.regions.setClean(index, false));
    if (this.#owed) this.#write();
  }

  /** Forgotten, it costs a recovery: so it waits for the next write. */
  clear(indexes: readonly number[]): void {
    for (const index of indexes) {
      if (this.regions.setClean(index, true)) this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    }
  }

  setInSync(index: number, inSync: boolean): void {
    // Also for one that is in sync: taken for out of sync after a crash of this program, it would be written on one leg.
    this.#distrusted(index, this.regions.setInSync(index, inSync));
    if (this.#owed) this.#write();
    // No flush follows a failed leg, and a region that is not the same must never be taken for one that is.
    if (!inSync) this.flush();
  }

  /** Puts everything on stable storage. */
  flush(): void {
    this.#write();
    if (!this.#unflushed) return;
    try {
      this.file.sync();
    } catch (error) {
      // It is reported once, and the pages count as written from then on: the next flush must write them again.
      this.#changeAll();
      throw error;
    }
    this.#unflushed = false;
  }

  /** A mirror starts: what was being written may differ between its legs, and with `all` so may everything else. */
  distrust(all: boolean): void {
    if (all) this.regions.reset(false);
    else this.regions.distrustDirty();
    this.#changeAll();
  }

  #distrusted(index: number, changed: boolean): void {
    if (!changed) return;
    this.#changed.add(Math.floor(index / REGIONS_PER_PAGE));
    this.#owed = true;
  }

  #changeAll(): void {
    for (let page = 0; page < this.file.pages; page++) this.#changed.add(page);
    this.#owed = true;
  }

  #write(): void {
    for (const page of this.#changed) {
      this.file.writePage(page, this.regions);
      this.#changed.delete(page);
      this.#unflushed = true;
    }
    this.#owed = false;
  }
}
