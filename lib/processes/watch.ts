import type { System } from "../../ffi/libc.ts";
import { WallClock } from "../procfs/clock.ts";
import { type AsyncStream, CallQueue, Closing } from "../stream.ts";
import { showInConsole } from "../wire/inspect.ts";
import type { ProcessEvent } from "./event.ts";
import { Liveness } from "./liveness.ts";
import { Pipeline, type Stage } from "./pipeline.ts";
import { ProcessEventSource, type SourceOptions } from "./source.ts";
import type { FilterPlacement, ProcessWatchStats } from "./stats.ts";

/**
 * An open watch of process events: an async iterator of {@linkcode ProcessEvent}. The kernel's receive buffer is the
 * queue. If it is not read in time the buffer fills up, and what does not fit is counted in a `lost` event.
 *
 * Each event goes to one reader, in the order in which readers ask. Leaving a `for await` closes the watch. An open watch
 * keeps the program alive, even if nobody reads it; see {@linkcode ProcessWatch.unref}.
 */
export interface ProcessWatch<Event extends ProcessEvent = ProcessEvent> extends AsyncStream<Event> {
  /** Waits for the next event. Rejects once with what the watch failed with, or the reason of its signal. */
  next(): Promise<IteratorResult<Event, undefined>>;
  /**
   * The same events in arrays as they were received, up to a few hundred at a time and never empty: cheaper under load.
   * Leaving the loop closes the watch.
   */
  batches(): AsyncStream<readonly Event[]>;
  /**
   * Resolves when the watch has released its subscription: after `close()`, or when it has ended by itself. Rejects with
   * what it failed with, or the reason of its signal. It may be left unused: it never causes an unhandled rejection.
   */
  readonly closed: Promise<void>;
  /**
   * Converts a `timestampNs` to the time of day, in milliseconds since 1970, with a fraction. The difference between the
   * clocks is read again for each batch; what was received before somebody set the clock keeps the old time.
   */
  wallTimeMs(timestampNs: bigint): number;
  /** Counters of this watch, as they are now. */
  stats(): ProcessWatchStats;
  /** The socket filter as text, one instruction a line; empty if there is none. */
  explain(): string;
  /** Keeps the program alive again, as a watch does from the start. */
  ref(): this;
  /** Lets the program end although the watch is open; the subscription is taken back then. */
  unref(): this;
  /**
   * Takes the subscription back. An iteration hands out what is queued and then ends, and the watch is closed.
   * {@linkcode ProcessWatch.close} throws the queue away.
   */
  drain(): void;
  /** Takes the subscription back and releases everything. An iteration that waits ends. Further calls do nothing. */
  close(): Promise<void>;
}

/** What a watch is made of. */
export interface WatchParts {
  readonly source: SourceOptions;
  readonly stages: readonly Stage[];
  /** Where the stages apply their parts of the filter. */
  readonly placements: readonly FilterPlacement[];
  readonly heartbeatMs: number;
  readonly signal: AbortSignal | undefined;
}

/** Opens a watch: when it returns, the kernel has acknowledged the subscription and every stage has started. */
export function openWatch(system: System, parts: WatchParts): ProcessWatch {
  return new Watch(system, parts);
}

class Watch implements ProcessWatch {
  readonly #closing = new Closing();
  readonly #system: System;
  readonly #source: ProcessEventSource;
  readonly #pipeline: Pipeline;
  readonly #liveness: Liveness;
  readonly #placements: readonly FilterPlacement[];
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#fail(this.#signal!.reason);
  readonly #calls = new CallQueue();
  /** What was fetched and not handed out yet, from `#index` on. */
  #batch: readonly ProcessEvent[] = [];
  #index = 0;
  #delivered = 0;
  #wallClock: WallClock | undefined;
  #wallClockBatch = 0;
  #draining = false;
  /** Everything is released. */
  #ended = false;
  /** Nothing more is handed out. */
  #discards = false;
  #failure: { readonly error: unknown } | undefined;

  static {
    showInConsole(Watch.prototype, "ProcessWatch", (watch) => watch.stats());
  }

  constructor(system: System, { source, stages, placements, heartbeatMs, signal }: WatchParts) {
    signal?.throwIfAborted();
    this.#system = system;
    this.#placements = placements;
    this.#signal = signal;
    this.#pipeline = new Pipeline(stages);
    try {
      this.#pipeline.prepare();
      this.#source = new ProcessEventSource(system, source, (error) => this.#fail(error));
    } catch (error) {
      this.#pipeline.close();
      throw error;
    }
    this.#liveness = new Liveness(this.#source, heartbeatMs, (error) => this.#fail(error));
    try {
      this.#pipeline.start();
      this.#source.start();
    } catch (error) {
      this.#end();
      throw error;
    }
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get closed(): Promise<void> {
    return this.#closing.promise;
  }

  next(): Promise<IteratorResult<ProcessEvent, undefined>> {
    // A promise that is there already costs half of what an asynchronous function does.
    if (this.#hasSome && !this.#calls.busy) return Promise.resolve(this.#handOut());
    return this.#calls.run(async () => {
      if (!this.#hasSome) await this.#refill();
      return this.#hasSome ? this.#handOut() : { value: undefined, done: true };
    });
  }

  async return(): Promise<IteratorResult<ProcessEvent, undefined>> {
    await this.close();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  batches(): AsyncStream<readonly ProcessEvent[]> {
    const getClosed = (): Promise<void> => this.closed;
    const stream: AsyncStream<readonly ProcessEvent[]> = {
      next: () => this.#nextBatch(),
      close: () => this.close(),
      get closed() {
        return getClosed();
      },
      return: async () => {
        await this.close();
        return { value: undefined, done: true };
      },
      [Symbol.asyncIterator]: () => stream,
      [Symbol.asyncDispose]: () => this.close(),
    };
    return stream;
  }

  wallTimeMs(timestampNs: bigint): number {
    const { batches } = this.#source;
    if (this.#wallClock === undefined) this.#wallClock = new WallClock(this.#system.libc);
    else if (this.#wallClockBatch !== batches) this.#wallClock.readAgain();
    this.#wallClockBatch = batches;
    return this.#wallClock.timeMs(timestampNs);
  }

  stats(): ProcessWatchStats {
    return {
      ...this.#source.stats(),
      delivered: this.#delivered,
      heartbeats: this.#liveness.heartbeats,
      filters: [...this.#source.placements(), ...this.#placements],
      undecided: 0,
      ...this.#pipeline.stats(),
    };
  }

  explain(): string {
    return this.#source.explain();
  }

  unref(): this {
    return this.#keepAlive(false);
  }

  ref(): this {
    return this.#keepAlive(true);
  }

  drain(): void {
    if (this.#ended || this.#draining) return;
    this.#draining = true;
    this.#liveness.close(); // silence is what is wanted now
    this.#source.leave();
  }

  close(): Promise<void> {
    this.#discards = true;
    this.#batch = [];
    this.#end();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #hasSome(): boolean {
    return this.#index < this.#batch.length;
  }

  #handOut(): IteratorYieldResult<ProcessEvent> {
    const value = this.#batch[this.#index++]!;
    if (value.type !== "lost") this.#delivered++;
    return { value, done: false };
  }

  /** What is left of the batch, or the next one. */
  #nextBatch(): Promise<IteratorResult<readonly ProcessEvent[], undefined>> {
    return this.#calls.run(async () => {
      if (!this.#hasSome) await this.#refill();
      if (!this.#hasSome) return { value: undefined, done: true };
      const value = this.#index === 0 ? this.#batch : this.#batch.slice(this.#index);
      this.#batch = [];
      for (const { type } of value) if (type !== "lost") this.#delivered++;
      return { value, done: false };
    });
  }

  /** Waits for events; without any the watch has ended. */
  async #refill(): Promise<void> {
    const events = await this.#fetch();
    if (this.#discards) return this.#throwFailure(); // it may have failed while these were fetched
    this.#batch = events;
    this.#index = 0;
  }

  async #fetch(): Promise<readonly ProcessEvent[]> {
    const source = this.#source;
    while (!this.#ended) {
      let events: readonly ProcessEvent[];
      try {
        if (source.isExhausted()) {
          if (this.#draining) {
            this.#end();
            break;
          }
          this.#liveness.start();
          await source.wait(this.#pipeline.nextDeadlineMs());
          continue;
        }
        events = this.#pipeline.process(source.read(), source);
        if (this.#pipeline.isOver() && !source.hasUnreadDrops()) this.#end();
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (source.shouldYield) await source.yieldToEventLoop();
      if (events.length > 0) return events;
    }
    this.#throwFailure();
    return [];
  }

  #throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = { error };
    this.#discards = true;
    this.#batch = [];
    this.#end(error);
  }

  /** Releases everything; what was received before is still handed out. */
  #end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#liveness.close();
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#source.close();
    this.#pipeline.close();
    this.#closing.end(error);
  }

  #keepAlive(alive: boolean): this {
    this.#liveness.keepAlive(alive);
    this.#source.keepAlive(alive);
    return this;
  }
}
