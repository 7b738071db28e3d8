import process from "node:process";
import {
  checkFunction,
  checkNumber,
  checkOptions,
  checkSignal,
  checkString,
  integer,
  type OptionChecks,
} from "../errors/arguments.ts";
import { openProcessWatch } from "../processes/open.ts";
import type { ProcessWatch } from "../processes/watch.ts";
import { userNames } from "../procfs/accounts.ts";
import { bootOffsetNs, WallClock } from "../procfs/clock.ts";
import { ProcFs } from "../procfs/process.ts";
import { openSystem } from "../system.ts";
import type { Libc } from "../../ffi/libc.ts";
import { absolutePath } from "./path.ts";
import { ImageTracker } from "./images.ts";
import { readMachine } from "./machine.ts";
import { HistoryWriter } from "./writer.ts";

/** How often what has happened is written, and how long an event may wait before: together less than a second. */
const COMMIT_MS = 700;
const LATENCY_MS = 200;
/** How often the time is noted up to which everything is recorded, while nothing happens. */
const IDLE_MS = 10_000;
/** How often a part of what is too old is removed, if there is any. */
const ROTATE_MS = 10_000;
const TEXTS_MS = 3_600_000;
/** Programs that wait in memory while the database cannot be written: some 200 MB. */
const MOST_QUEUED = 200_000;
/** A storm of processes waits here until it is read. */
const RECEIVE_BUFFER_BYTES = 64 << 20;
const TICK_NS = 10_000_000n;
const DAY_US = 86_400_000_000;

/** What is recorded, and for how long. */
export interface RecordHistoryOptions {
  /** For how many days processes are kept after their start. Default 30. */
  readonly keepDays?: number | undefined;
  /** The size of the database, in bytes, beyond which the oldest processes are removed. Default 2 GiB. */
  readonly maxBytes?: number | undefined;
  /** What is noted as the version of the recorder. */
  readonly version?: string | undefined;
  /**
   * Called when the database cannot be written, as on a full disk, and with undefined when it can again. Meanwhile up to
   * 200,000 programs wait in memory; of more, the oldest are dropped, and counted in a gap.
   */
  readonly onTrouble?: ((error: Error | undefined) => void) | undefined;
  /** Stops recording; `closed` then resolves. */
  readonly signal?: AbortSignal | undefined;
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

const OPTIONS: OptionChecks<RecordHistoryOptions> = {
  keepDays: checkPositive,
  maxBytes: integer(1 << 20, Number.MAX_SAFE_INTEGER),
  version: checkString,
  onTrouble: checkFunction,
  signal: checkSignal,
};

function checkPositive(value: unknown, name: string, action: string): void {
  checkNumber(value, name, action);
  if (!((value as number) > 0)) {
    throw new RangeError(`Cannot ${action}: ${name} must be above 0, and is ${value}`);
  }
}

/**
 * Records every process of this machine in an SQLite database, which {@linkcode openHistory} reads. What happened is
 * written once a second; when nothing could be recorded, the database says so. As many details are recorded as this user
 * may read: all of them as root.
 *
 * @throws {HistoryError} If the database cannot be written, is something else, or is written by another recorder.
 * @throws {UnsupportedError} If processes cannot be watched, as with `watchProcesses()`.
 */
export async function recordHistory(
  path: string,
  options: RecordHistoryOptions = {},
): Promise<HistoryRecorder> {
  const file = absolutePath(path, "record");
  checkOptions(options, OPTIONS, `record into ${file}`);
  options.signal?.throwIfAborted();
  const { libc } = openSystem(`record into ${file}`);
  const clocks = new RecorderClocks(libc);
  const procFs = new ProcFs(libc);
  const users = await userNames();
  options.signal?.throwIfAborted(); // from here on nothing is awaited
  const startTicksOf = (pid: number): number | undefined => procFs.stat(pid)?.startTimeTicks;
  // First the database: to be refused must cost nothing.
  const writer = new HistoryWriter(file, clocks.wallUs(procFs.monotonicNs()), {
    machine: readMachine(libc),
    recorder: {
      pid: process.pid,
      startTicks: startTicksOf(process.pid) ?? 0,
      version: options.version ?? "",
    },
    users,
    startTicksOf,
    wallUs: (ns) => clocks.wallUs(ns),
    monotonicNs: (us) => clocks.monotonicNs(us),
  });
  try {
    const watch = openProcessWatch(openSystem("record processes"), {
      events: ["fork", "exec", "exit", "comm", "uid"],
      processInfo: { fields: ["commandLine", "exe", "user", "cgroup", "cwd", "loginUid"] },
      snapshot: true,
      usage: true,
      latencyMs: LATENCY_MS,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    });
    return new Recorder(writer, watch, clocks, options);
  } catch (error) {
    writer[Symbol.dispose]();
    throw error;
  }
}

class Recorder implements HistoryRecorder {
  readonly #writer: HistoryWriter;
  readonly #watch: ProcessWatch;
  readonly #clocks: RecorderClocks;
  readonly #options: RecordHistoryOptions;
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
  #rotatedMs = 0;
  #textsMs = performance.now();

  constructor(
    writer: HistoryWriter,
    watch: ProcessWatch,
    clocks: RecorderClocks,
    options: RecordHistoryOptions,
  ) {
    this.#writer = writer;
    this.#watch = watch;
    this.#clocks = clocks;
    this.#options = options;
    this.#tracker = new ImageTracker(writer.nextId, writer.open, (ns) => clocks.ticks(ns));
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
      this.#writer.finish(this.#clocks.wallUs(this.#tracker.appliedNs));
    } finally {
      this.#ended = true;
      this.#options.signal?.removeEventListener("abort", this.#onAbort);
      await this.#watch.close();
      this.#writer[Symbol.dispose]();
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
    if (this.#trouble || nowMs - this.#rotatedMs < ROTATE_MS) return;
    this.#attempt(() => this.#rotate(nowMs));
  }

  /** Writes what has happened; what cannot be written is kept for later. */
  #write(): void {
    const images = this.#tracker.takeQueued();
    const gaps = this.#tracker.takeGaps();
    try {
      this.#writer.write(images, gaps, this.#clocks.wallUs(this.#tracker.appliedNs));
      this.#written += images.length;
    } catch (error) {
      this.#tracker.putBack(images, gaps, MOST_QUEUED);
      throw error;
    }
  }

  #rotate(nowMs: number): void {
    const { keepDays = 30, maxBytes = 2 ** 31 } = this.#options;
    const nowUs = this.#clocks.wallUs(this.#clocks.nowNs());
    // If there is more, it goes on at the next tick.
    if (!this.#writer.rotate({ keepUs: keepDays * DAY_US, maxBytes }, nowUs)) this.#rotatedMs = nowMs;
    if (nowMs - this.#textsMs < TEXTS_MS) return;
    this.#textsMs = nowMs;
    this.#writer.removeTexts();
  }

  #attempt(action: () => void): void {
    try {
      action();
      if (this.#trouble) this.#options.onTrouble?.(undefined);
      this.#trouble = false;
    } catch (error) {
      if (!this.#trouble) this.#options.onTrouble?.(error as Error);
      this.#trouble = true;
    }
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
