import type { CreatedLog, DirtyLog, DirtyLogs, RemoteRecovering } from "./log.ts";
import type { DmLogCtr } from "./message.ts";
import { parseGeometry, Regions } from "./regions.ts";

/**
 * Logs in memory. Every start of a mirror recovers all of it. If this program crashes, its state is lost: until the
 * mirror is suspended and resumed, writes reach the first leg only. For mirrors that must survive a crash of their server
 * see {@linkcode openDiskLogs}.
 *
 * Table line: `0 32768 mirror userspace 3 UUID core 1024 2 /dev/a 0 /dev/b 0`, with an optional `sync` or `nosync` after
 * the region size (the 3 then becomes a 4).
 */
export function coreLogs(): DirtyLogs {
  return { create: createCoreLog };
}

function createCoreLog(request: DmLogCtr): CreatedLog {
  const { regionSize, regionCount, sync } = parseGeometry(request, "core");
  // After a restart the state is unknown: "nosync" only applies to new mirrors.
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
