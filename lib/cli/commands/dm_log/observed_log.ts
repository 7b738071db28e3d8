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

/** Receives events; must return quickly, because the kernel waits. */
export type Report = (event: DmLogEvent) => void;

/** Wraps `logs` to report what happens to each mirror, and with `verbose` every request. */
export function observeLogs(logs: DirtyLogs, report: Report, verbose: boolean): DirtyLogs {
  return {
    create: (request) => after(logs.create(request), (created) => observe(request, created, report, verbose)),
  };
}

function observe(request: DmLogCtr, created: CreatedLog, report: Report, verbose: boolean): CreatedLog {
  const { uuid, args, again } = request;
  const { regionSize } = created.log;
  const regions = Math.ceil(Number(args[0]) / regionSize);
  report({ type: "created", uuid, log: args[1] ?? "", regions, regionSize, again });
  return { ...created, log: new ObservedLog(created.log, uuid, regions, report, verbose) };
}

/** Keeps synchronous answers synchronous: each answer holds up a write. */
function after<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}

/** A log that reports what happens to it. */
class ObservedLog implements DirtyLog {
  readonly regionSize: number;
  readonly #log: DirtyLog;
  readonly #uuid: string;
  readonly #regions: number;
  readonly #report: Report;
  readonly #verbose: boolean;
  /** Whether all regions are known to be in sync, so that each change is reported once. */
  #whole = false;
  #failed = false;

  constructor(log: DirtyLog, uuid: string, regions: number, report: Report, verbose: boolean) {
    this.regionSize = log.regionSize;
    this.#log = log;
    this.#uuid = uuid;
    this.#regions = regions;
    this.#report = report;
    this.#verbose = verbose;
  }

  isClean(region: bigint): boolean | Promise<boolean> {
    return this.#answer("is_clean", [region], this.#log.isClean(region), (clean) => clean);
  }

  inSync(region: bigint): boolean | Promise<boolean> {
    return this.#answer("in_sync", [region], this.#log.inSync(region), (inSync) => inSync);
  }

  markRegions(regions: readonly bigint[]): void | Promise<void> {
    return this.#answer("mark_region", regions, this.#log.markRegions(regions));
  }

  clearRegions(regions: readonly bigint[]): void | Promise<void> {
    return this.#answer("clear_region", regions, this.#log.clearRegions(regions));
  }

  flush(): void | Promise<void> {
    return this.#answer("flush", [], this.#log.flush());
  }

  resyncWork(): bigint | undefined | Promise<bigint | undefined> {
    return this.#answer(
      "get_resync_work",
      [],
      this.#log.resyncWork(),
      (region) => region?.toString() ?? null,
    );
  }

  setRegionSync(region: bigint, inSync: boolean): void | Promise<void> {
    const done = this.#answer(
      "set_region_sync",
      [region],
      this.#log.setRegionSync(region, inSync),
      () => inSync,
    );
    return after(done, () => this.#reportSync(region, inSync));
  }

  syncCount(): bigint | Promise<bigint> {
    return this.#answer("get_sync_count", [], this.#log.syncCount(), String);
  }

  status(kind: "info" | "table"): string | Promise<string> {
    return this.#answer(kind === "info" ? "status_info" : "status_table", [], this.#log.status(kind), String);
  }

  remoteRecovering(region: bigint): RemoteRecovering | Promise<RemoteRecovering> {
    const answer = this.#log.remoteRecovering?.(region) ?? { recovering: false, inSyncHint: 0n };
    return this.#answer("is_remote_recovering", [region], answer, ({ recovering }) => recovering);
  }

  presuspend(): void | Promise<void> {
    return this.#answer("presuspend", [], this.#log.presuspend?.());
  }

  postsuspend(): void | Promise<void> {
    return after(
      this.#answer("postsuspend", [], this.#log.postsuspend?.()),
      () => this.#report({ type: "suspended", uuid: this.#uuid }),
    );
  }

  resume(again: boolean): void | Promise<void> {
    const resumed = after(this.#log.resume(again), () => this.#log.syncCount());
    return after(resumed, (count) => {
      this.#whole = Number(count) === this.#regions;
      this.#report({
        type: "resumed",
        uuid: this.#uuid,
        inSync: Number(count),
        regions: this.#regions,
      });
    });
  }

  destroy(): void | Promise<void> {
    return after(this.#log.destroy(), () => this.#report({ type: "removed", uuid: this.#uuid }));
  }

  #reportSync(region: bigint, inSync: boolean): void | Promise<void> {
    if (!inSync) {
      this.#whole = false;
      // A failed leg fails for every region: report only the first.
      if (!this.#failed) this.#report({ type: "out_of_sync", uuid: this.#uuid, region: String(region) });
      this.#failed = true;
      return;
    }
    if (this.#whole) return;
    return after(this.#log.syncCount(), (count) => {
      if (Number(count) !== this.#regions) return;
      this.#whole = true;
      this.#failed = false;
      this.#report({ type: "in_sync", uuid: this.#uuid, regions: this.#regions });
    });
  }

  /** Returns an answer, and with `verbose` reports it. */
  #answer<T>(
    request: DmLogRequestName,
    regions: readonly bigint[],
    answer: T | Promise<T>,
    shown: (answer: T) => JsonValue = () => null,
  ): T | Promise<T> {
    if (!this.#verbose) return answer;
    return after(answer, (value) => {
      this.#report({
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
