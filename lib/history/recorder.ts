import process from "node:process";
import { callSafely } from "../errors/callback.ts";
import { openProcessWatch } from "../processes/open.ts";
import type { WatchProcessesOptions } from "../processes/options.ts";
import type { ProcessWatch } from "../processes/watch.ts";
import { userNames } from "../procfs/accounts.ts";
import { bootOffsetNs, WallClock } from "../procfs/clock.ts";
import { ProcFs } from "../procfs/process.ts";
import { openSystem } from "../system.ts";
import type { Libc } from "../../ffi/libc.ts";
import { type Image, type ImageGap, ImageTracker, type OpenImage } from "./images.ts";
import { type Machine, readMachine } from "./machine.ts";

/** How often what has happened is written, and how long an event may wait before: together less than a second. */
const COMMIT_MS = 700;
const LATENCY_MS = 200;
/** How often the time is noted up to which everything is recorded, while nothing happens. */
const IDLE_MS = 10_000;
/** How often a part of what is too old is removed, if there is any. */
const TIDY_MS = 10_000;
/** Programs that wait in memory while they cannot be written: some 200 MB. */
const MOST_QUEUED = 200_000;
/** A storm of processes waits here until it is read. */
const RECEIVE_BUFFER_BYTES = 64 << 20;
const TICK_NS = 10_000_000n;

/** What is watched. */
export const RECORDER_WATCH: WatchProcessesOptions = {
  events: ["fork", "exec", "exit", "comm", "uid"],
  processInfo: { fields: ["commandLine", "exe", "user", "cgroup", "cwd", "loginUid"] },
  snapshot: true,
  usage: true,
  latencyMs: LATENCY_MS,
  receiveBufferBytes: RECEIVE_BUFFER_BYTES,
};

/** Where a recorder writes. */
export interface ImageStore extends Disposable {
  /** What an earlier run of the same boot has left without an end. */
  readonly open: readonly OpenImage[];
  /** The first id that is free. */
  readonly nextId: number;
  /** Whether everything that runs is wanted with the next write. */
  readonly wantsAll: boolean;
  /**
   * Writes all or nothing.
   *
   * @param recordedUs Up to when everything that was received is in there.
   * @param all Whether everything that runs is in there.
   */
  write(images: readonly Image[], gaps: readonly ImageGap[], recordedUs: number, all: boolean): void;
  /** Removes a part of what is too old or too much; returns whether there is more. */
  tidy(nowUs: number): boolean;
  /** Notes that the recorder stopped. */
  finish(stoppedUs: number): void;
}

/** What a store needs of the clock and of the system. */
export interface StoreTools {
  readonly machine: Machine;
  /** Who records: its start is the 22nd field of /proc/PID/stat. */
  readonly recorder: { readonly pid: number; readonly startTicks: number };
  /** Now, in microseconds since 1970. */
  readonly startedUs: number;
  /** The names of users, for those that appear. */
  readonly users: ReadonlyMap<number, string>;
  /** The start of a process that runs, as the 22nd field of /proc/PID/stat; undefined if there is none. */
  readonly startTicksOf: (pid: number) => number | undefined;
  /** Turns CLOCK_MONOTONIC into microseconds since 1970. */
  readonly wallUs: (timestampNs: bigint) => number;
  /** The inverse. */
  readonly monotonicNs: (wallUs: number) => bigint;
}

/** A recorder that runs. */
export interface HistoryRecorder extends AsyncDisposable {
  /** Resolves when it has stopped and everything is written; rejects if it had to stop. */
  readonly closed: Promise<void>;
  /** What it has done so far. */
  stats(): HistoryRecorderStats;
  /** Writes what has happened, and stops. */
  close(): Promise<void>;
}

/** Counters of a recorder. */
export interface HistoryRecorderStats {
  /** Rows of programs that were written; one that ends after it was written counts again. */
  readonly written: number;
  /** Programs that wait to be written. */
  readonly queued: number;
  /** Processes that run. */
  readonly running: number;
  /** Events that the kernel dropped, as far as they could be counted. */
  readonly lost: number;
  /** Why CPU time and memory are not recorded; undefined if they are. */
  readonly usageRefusal: string | undefined;
}

/** What a recorder may be told. */
export interface RecorderOptions {
  /** Called when nothing can be written, and with undefined when it can again. */
  readonly onTrouble?: ((error: Error | undefined) => void) | undefined;
  /** Stops recording. */
  readonly signal?: AbortSignal | undefined;
}

/** Records every process of this machine in a store. `action` completes "Cannot …". */
export async function startRecorder(
  action: string,
  openStore: (tools: StoreTools) => ImageStore,
  options: RecorderOptions,
): Promise<HistoryRecorder> {
  options.signal?.throwIfAborted();
  const { libc } = openSystem(action);
  const clocks = new RecorderClocks(libc);
  const procFs = new ProcFs(libc);
  const users = await userNames();
  options.signal?.throwIfAborted(); // from here on nothing is awaited
  const startTicksOf = (pid: number): number | undefined => procFs.stat(pid)?.startTimeTicks;
  // First the store: to be refused must cost nothing.
  const store = openStore({
    machine: readMachine(libc),
    recorder: { pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0 },
    startedUs: clocks.wallUs(procFs.monotonicNs()),
    users,
    startTicksOf,
    wallUs: (ns) => clocks.wallUs(ns),
    monotonicNs: (us) => clocks.monotonicNs(us),
  });
  try {
    const watch = openProcessWatch(openSystem("record processes"), RECORDER_WATCH);
    return new Recorder(store, watch, clocks, options);
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
}

class Recorder implements HistoryRecorder {
  readonly #store: ImageStore;
  readonly #watch: ProcessWatch;
  readonly #clocks: RecorderClocks;
  readonly #options: RecorderOptions;
  readonly #tracker: ImageTracker;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onAbort = (): void => void this.close();
  readonly closed: Promise<void>;
  #written = 0;
  #trouble = false;
  #ended = false;
  /** When it was asked to stop. */
  #stoppedNs = 0n;
  #batches = 0;
  #batchesWritten = 0;
  #idleSinceMs = 0;
  #tidiedMs = 0;

  constructor(store: ImageStore, watch: ProcessWatch, clocks: RecorderClocks, options: RecorderOptions) {
    this.#store = store;
    this.#watch = watch;
    this.#clocks = clocks;
    this.#options = options;
    this.#tracker = new ImageTracker(store.nextId, store.open, (ns) => clocks.ticks(ns));
    this.#timer = setInterval(() => this.#tick(), COMMIT_MS);
    this.closed = this.#run();
    this.closed.catch(() => {}); // a caller may leave it unused
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  stats(): HistoryRecorderStats {
    const { lost, usage } = this.#watch.stats();
    return {
      written: this.#written,
      queued: this.#tracker.queued,
      running: this.#tracker.running,
      lost,
      usageRefusal: usage?.refusal,
    };
  }

  close(): Promise<void> {
    if (!this.#ended) {
      this.#stoppedNs = this.#clocks.nowNs();
      this.#watch.drain();
    }
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    try {
      try {
        for await (const batch of this.#watch.batches()) {
          this.#batches++;
          this.#tracker.apply(batch);
        }
        // All that happened before has been received.
        if (this.#stoppedNs > this.#tracker.appliedNs) this.#tracker.appliedNs = this.#stoppedNs;
      } finally {
        clearInterval(this.#timer);
        this.#write(); // also what came before a failure
      }
      this.#store.finish(this.#clocks.wallUs(this.#tracker.appliedNs));
    } finally {
      this.#ended = true;
      this.#options.signal?.removeEventListener("abort", this.#onAbort);
      await this.#watch.close();
      this.#store[Symbol.dispose]();
    }
  }

  #tick(): void {
    this.#clocks.readAgain();
    const nowMs = performance.now();
    if (this.#batches === this.#batchesWritten && !this.#trouble) {
      if (nowMs - this.#idleSinceMs < IDLE_MS) return;
      // Nothing has come for so long: nothing waits that is older than this.
      this.#tracker.appliedNs = this.#clocks.nowNs() - BigInt(2 * LATENCY_MS) * 1_000_000n;
    }
    this.#idleSinceMs = nowMs;
    this.#batchesWritten = this.#batches;
    this.#attempt(() => this.#write());
    if (this.#trouble || nowMs - this.#tidiedMs < TIDY_MS) return;
    this.#attempt(() => {
      // If there is more, it goes on at the next tick.
      if (!this.#store.tidy(this.#clocks.wallUs(this.#clocks.nowNs()))) this.#tidiedMs = nowMs;
    });
  }

  /** Writes what has happened; what cannot be written is kept for later. */
  #write(): void {
    const all = this.#store.wantsAll && this.#tracker.started;
    if (all) this.#tracker.enqueueAll();
    const images = this.#tracker.takeQueued();
    const gaps = this.#tracker.takeGaps();
    try {
      this.#store.write(images, gaps, this.#clocks.wallUs(this.#tracker.appliedNs), all);
      this.#written += images.length;
    } catch (error) {
      this.#tracker.putBack(images, gaps, MOST_QUEUED);
      throw error;
    }
  }

  #attempt(action: () => void): void {
    let trouble: Error | undefined;
    try {
      action();
    } catch (error) {
      trouble = error as Error;
    }
    const isNews = (trouble !== undefined) !== this.#trouble;
    this.#trouble = trouble !== undefined;
    if (isNews) callSafely("onTrouble", () => this.#options.onTrouble?.(trouble));
  }
}

/** The clocks that times are converted with. */
class RecorderClocks {
  readonly #libc: Libc;
  readonly #procFs: ProcFs;
  readonly #wall: WallClock;
  #bootOffsetNs: bigint;

  constructor(libc: Libc) {
    this.#libc = libc;
    this.#procFs = new ProcFs(libc);
    this.#wall = new WallClock(libc);
    this.#bootOffsetNs = bootOffsetNs(libc);
  }

  /** To be called now and then: the clock may be set, or the machine suspended. */
  readAgain(): void {
    this.#wall.readAgain();
    this.#bootOffsetNs = bootOffsetNs(this.#libc);
  }

  nowNs(): bigint {
    return this.#procFs.monotonicNs();
  }

  /** CLOCK_MONOTONIC as microseconds since 1970. */
  wallUs(timestampNs: bigint): number {
    return Math.round(this.#wall.timeMs(timestampNs) * 1000);
  }

  /** The inverse. */
  monotonicNs(wallUs: number): bigint {
    const nowNs = this.nowNs();
    return nowNs + BigInt(wallUs - this.wallUs(nowNs)) * 1000n;
  }

  /** CLOCK_MONOTONIC as hundredths of a second since the boot, as /proc has start times. */
  ticks(timestampNs: bigint): number {
    return Number((timestampNs + this.#bootOffsetNs) / TICK_NS);
  }
}
