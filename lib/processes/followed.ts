import type { ProcessEvent } from "./event.ts";
import { ProcessGoneError } from "../errors/process_gone_error.ts";
import { type ProcFs } from "../procfs/process.ts";
import { hasEnded } from "../procfs/text.ts";
import { type ProcessIdentity, SAME_START_NS } from "./identity.ts";

/** When a process started, by both clocks. */
interface Start {
  readonly ticks: number;
  readonly ns: bigint;
}

/** How long the exit event of a vanished process may take to arrive. */
const GRACE_MS = 50;
const GRACE_NS = BigInt(GRACE_MS) * 1_000_000n;

/**
 * The processes of the option `pids`, each until it ends. They are identified by pid and start time, because pids are
 * reused. It must be given all forks and exits, with `thread` of exits as {@linkcode ThreadGroups} sets it.
 */
export class FollowedProcesses {
  readonly #procFs: ProcFs;
  readonly #start: ProcessIdentity;
  readonly #live = new Map<number, Start>();
  /** Whether events were lost since the processes were last checked. */
  #unconfirmed = false;
  /** Processes that vanished without an exit event, and since when. */
  readonly #vanished = new Map<number, bigint>();

  /** Starts empty; see {@linkcode begin}. */
  constructor(procFs: ProcFs, start: ProcessIdentity) {
    this.#procFs = procFs;
    this.#start = start;
  }

  /** How many are running. */
  get size(): number {
    return this.#live.size;
  }

  /** Whether a process is followed. */
  has(pid: number): boolean {
    return this.#live.has(pid);
  }

  /**
   * Adds processes. To be called after subscribing, so that no exit is missed.
   *
   * @throws {ProcessGoneError} If one does not exist or has ended.
   * @throws {TypeError} If one is a thread.
   */
  begin(pids: Iterable<number>): void {
    for (const pid of pids) {
      const action = `watch process ${pid}`;
      const stat = this.#procFs.stat(pid);
      if (stat === undefined) {
        if (this.#procFs.missing === "gone") throw new ProcessGoneError(action, pid, "absent");
        throw new Error(`Cannot ${action}: /proc/${pid}/stat cannot be read`);
      }
      if (hasEnded(stat)) throw new ProcessGoneError(action, pid, "zombie");
      const process = this.#procFs.processOf(pid) ?? pid;
      if (process !== pid) throw new TypeError(`Cannot ${action}: that is a thread of process ${process}`);
      this.#live.set(pid, { ticks: stat.startTimeTicks, ns: this.#start.ofStat(stat) });
    }
  }

  /** Applies an event, and returns whether it involves one of them. */
  apply(event: ProcessEvent): boolean {
    switch (event.type) {
      case "lost":
        this.#unconfirmed = true;
        return true;
      case "unknown":
        return false;
      case "fork":
        if (!event.thread && event.synthetic !== true) this.#born(event.pid, event.timestampNs);
        return this.#live.has(event.parentPid) || this.#live.has(event.pid);
      case "exit": {
        const start = this.#live.get(event.pid);
        // An event that was queued before may be that of an earlier process with the pid.
        if (start === undefined || event.timestampNs < start.ns - SAME_START_NS) return false;
        if (!event.thread) this.#live.delete(event.pid);
        return true;
      }
      case "ptrace":
        return this.#live.has(event.pid) || this.#live.has(event.tracerPid);
      default:
        return this.#live.has(event.pid);
    }
  }

  /**
   * Checks the processes if events were lost. To be called after each batch.
   *
   * @param drained Whether the queue is empty. Otherwise the exit of a vanished process may still be in it.
   */
  settle(drained: boolean): void {
    if (!drained) return;
    if (!this.#unconfirmed && this.#vanished.size === 0) return;
    const nowNs = this.#procFs.monotonicNs();
    for (const [pid, start] of this.#unconfirmed ? this.#live : []) {
      if (!this.#isThere(pid, start)) this.#vanished.set(pid, nowNs);
    }
    this.#unconfirmed = false;
    for (const [pid, sinceNs] of this.#vanished) {
      if (nowNs - sinceNs < GRACE_NS) continue;
      this.#vanished.delete(pid);
      this.#live.delete(pid);
    }
  }

  /** After how many milliseconds {@linkcode settle} must be called again; undefined if there is nothing to check. */
  dueMs(): number | undefined {
    return this.#vanished.size > 0 || this.#unconfirmed ? GRACE_MS : undefined;
  }

  /** A process was created: an earlier one with its pid has ended, and the exit was lost. */
  #born(pid: number, ns: bigint): void {
    const start = this.#live.get(pid);
    if (start !== undefined && ns > start.ns + SAME_START_NS) this.#live.delete(pid);
  }

  #isThere(pid: number, start: Start): boolean {
    const stat = this.#procFs.stat(pid);
    if (stat === undefined) return this.#procFs.missing !== "gone";
    return stat.startTimeTicks === start.ticks && !hasEnded(stat);
  }
}
