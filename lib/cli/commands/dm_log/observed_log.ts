import type { JsonValue } from "../../../connector/protocol.ts";
import type {
  CreatedLog,
  DirtyLog,
  DirtyLogs,
  DmLogCtr,
  DmLogRequestName,
  RemoteRecovering,
} from "../../../protocols/dm_log/mod.ts";
import type { DmLogEvent } from "./events.ts";

/** Is told what happens, and must not keep the kernel waiting. */
export type Tell = (event: DmLogEvent) => void;

/** Logs that do what `logs` do, and tell it: what becomes of each mirror, or with `verbose` every request. */
export function tellingLogs(logs: DirtyLogs, tell: Tell, verbose: boolean): DirtyLogs {
  return {
    create: (request) =>
      after(logs.create(request), (created) => tellCreated(request, created, tell, verbose)),
  };
}

function tellCreated(request: DmLogCtr, created: CreatedLog, tell: Tell, verbose: boolean): CreatedLog {
  const { uuid, args, again } = request;
  const { regionSize } = created.log;
  const regions = Math.ceil(Number(args[0]) / regionSize);
  tell({ type: "created", uuid, log: args[1] ?? "", regions, regionSize, again });
  return { ...created, log: new ObservedLog(created.log, uuid, regions, tell, verbose) };
}

/** What answers at once goes on to do so: each answer holds up a write. */
function after<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** A log that tells what it is asked. */
class ObservedLog implements DirtyLog {
  readonly regionSize: number;
  readonly #log: DirtyLog;
  readonly #uuid: string;
  readonly #regions: number;
  readonly #tell: Tell;
  readonly #verbose: boolean;
  /** Whether all regions are known to be the same, so that the way there and back is told once. */
  #whole = false;
  #failed = false;

  constructor(log: DirtyLog, uuid: string, regions: number, tell: Tell, verbose: boolean) {
    this.regionSize = log.regionSize;
    this.#log = log;
    this.#uuid = uuid;
    this.#regions = regions;
    this.#tell = tell;
    this.#verbose = verbose;
  }

  isClean(region: bigint): boolean | Promise<boolean> {
    return this.#asked("is_clean", [region], this.#log.isClean(region), (clean) => clean);
  }

  inSync(region: bigint): boolean | Promise<boolean> {
    return this.#asked("in_sync", [region], this.#log.inSync(region), (inSync) => inSync);
  }

  markRegions(regions: readonly bigint[]): void | Promise<void> {
    return this.#asked("mark_region", regions, this.#log.markRegions(regions));
  }

  clearRegions(regions: readonly bigint[]): void | Promise<void> {
    return this.#asked("clear_region", regions, this.#log.clearRegions(regions));
  }

  flush(): void | Promise<void> {
    return this.#asked("flush", [], this.#log.flush());
  }

  resyncWork(): bigint | undefined | Promise<bigint | undefined> {
    return this.#asked("get_resync_work", [], this.#log.resyncWork(), (region) => region?.toString() ?? null);
  }

  setRegionSync(region: bigint, inSync: boolean): void | Promise<void> {
    const done = this.#asked(
      "set_region_sync",
      [region],
      this.#log.setRegionSync(region, inSync),
      () => inSync,
    );
    return after(done, () => this.#toldSync(region, inSync));
  }

  syncCount(): bigint | Promise<bigint> {
    return this.#asked("get_sync_count", [], this.#log.syncCount(), String);
  }

  status(kind: "info" | "table"): string | Promise<string> {
    return this.#asked(kind === "info" ? "status_info" : "status_table", [], this.#log.status(kind), String);
  }

  remoteRecovering(region: bigint): RemoteRecovering | Promise<RemoteRecovering> {
    const answer = this.#log.remoteRecovering?.(region) ?? { recovering: false, inSyncHint: 0n };
    return this.#asked("is_remote_recovering", [region], answer, ({ recovering }) => recovering);
  }

  presuspend(): void | Promise<void> {
    return this.#asked("presuspend", [], this.#log.presuspend?.());
  }

  postsuspend(): void | Promise<void> {
    return after(
      this.#asked("postsuspend", [], this.#log.postsuspend?.()),
      () => this.#tell({ type: "suspended", uuid: this.#uuid }),
    );
  }

  resume(again: boolean): void | Promise<void> {
    const resumed = after(this.#log.resume(again), () => this.#log.syncCount());
    return after(resumed, (count) => {
      this.#whole = Number(count) === this.#regions;
      this.#tell({
        type: "resumed",
        uuid: this.#uuid,
        inSync: Number(count),
        regions: this.#regions,
      });
    });
  }

  destroy(): void | Promise<void> {
    return after(this.#log.destroy(), () => this.#tell({ type: "removed", uuid: this.#uuid }));
  }

  #toldSync(region: bigint, inSync: boolean): void | Promise<void> {
    if (!inSync) {
      this.#whole = false;
      // A failed leg fails for every region: the first says it.
      if (!this.#failed) this.#tell({ type: "out_of_sync", uuid: this.#uuid, region: String(region) });
      this.#failed = true;
      return;
    }
    if (this.#whole) return;
    return after(this.#log.syncCount(), (count) => {
      if (Number(count) !== this.#regions) return;
      this.#whole = true;
      this.#failed = false;
      this.#tell({ type: "in_sync", uuid: this.#uuid, regions: this.#regions });
    });
  }

  /** Hands an answer on, and tells it where that was asked for. */
  #asked<T>(
    request: DmLogRequestName,
    regions: readonly bigint[],
    answer: T | Promise<T>,
    shown: (answer: T) => JsonValue = () => null,
  ): T | Promise<T> {
    if (!this.#verbose) return answer;
    return after(answer, (value) => {
      this.#tell({
        type: "request",
        uuid: this.#uuid,
        request,
        regions: regions.map(String),
        answer: shown(value),
      });
      return value;
    });
  }
}
