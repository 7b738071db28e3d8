import type { CreatedLog, DirtyLog, DirtyLogs, RemoteRecovering } from "./log.ts";
import type { DmLogCtr } from "./message.ts";
import { parseGeometry, Regions } from "./regions.ts";

/**
 * Logs in memory: everything is recovered whenever a mirror starts, and after this program crashed nothing is known any
 * more: what is written from then on reaches the first leg only, until the mirror is suspended and resumed. For mirrors
 * that must survive their server see {@linkcode openDiskLogs}.
 *
 * Table line: `0 32768 mirror userspace 3 UUID core 1024 2 /dev/a 0 /dev/b 0`, with an optional `sync` or `nosync` after
 * the region size (which makes the 3 a 4).
 */
export function coreLogs(): DirtyLogs {
  return { create: createCoreLog };
}

function createCoreLog(request: DmLogCtr): CreatedLog {
  const { regionSize, regionCount, sync } = parseGeometry(request, "core");
  // A server that comes back knows nothing: "nosync" speaks of new mirrors, not of this one.
  const inSync = sync === "nosync" && !request.again;
  return { log: new CoreLog(regionSize, new Regions(regionCount, inSync)) };
}

class CoreLog implements DirtyLog {
  readonly regionSize: number;
  readonly #regions: Regions;

  constructor(regionSize: number, regions: Regions) {
    this.regionSize = regionSize;
    this.#regions = regions;
  }

  isClean(region: bigint): boolean {
    return this.#regions.isClean(this.#regions.index(region));
  }

  inSync(region: bigint): boolean {
    return this.#regions.isInSync(this.#regions.index(region));
  }

  markRegions(regions: readonly bigint[]): void {
    for (const region of regions) this.#regions.setClean(this.#regions.index(region), false);
  }

  clearRegions(regions: readonly bigint[]): void {
    for (const region of regions) this.#regions.setClean(this.#regions.index(region), true);
  }

  flush(): void {}

  resyncWork(): bigint | undefined {
    const next = this.#regions.nextWork();
    return next === undefined ? undefined : BigInt(next);
  }

  setRegionSync(region: bigint, inSync: boolean): void {
    this.#regions.setInSync(this.#regions.index(region), inSync);
  }

  syncCount(): bigint {
    return BigInt(this.#regions.syncCount);
  }

  status(): string {
    return "1 core";
  }

  remoteRecovering(): RemoteRecovering {
    return { recovering: false, inSyncHint: BigInt(this.#regions.firstOutOfSync()) };
  }

  resume(): void {
    this.#regions.restartSearch();
  }

  destroy(): void {}
}
