import type { System } from "../../ffi/libc.ts";
import { UntrustedSenders } from "../connector/untrusted_senders.ts";
import { disassemble } from "../netlink/bpf.ts";
import { clampReceiveBuffer } from "../netlink/receive_buffer.ts";
import { Receiver } from "../netlink/receiver.ts";
import { DatagramBatch } from "../netlink/datagram_batch.ts";
import { keepTimerAlive } from "../netlink/timer.ts";
import { monotonicNs, WallClock } from "../procfs/clock.ts";
import { ExecWakeup } from "./exec_wakeup.ts";
import type { ProcessEvent } from "./event.ts";
import {
  type CheckedFilter,
  checkFilter,
  filterParts,
  type FilterPlace,
  kernelMask,
  withThreadLife,
} from "./event_filter.ts";
import { filterProgram, fitsProgram } from "./bpf_filter.ts";
import { EventDecoder } from "./decoder.ts";
import { LoadMeter } from "./load.ts";
import { LossCounter } from "./loss.ts";
import { EventReads } from "./reads.ts";
import { ProcSubscription, type SubscriptionOptions } from "./subscription.ts";
import { checkTimes, DEFAULT_RECEIVE_BUFFER_BYTES, type ProcWatchOptions } from "./watch_options.ts";
import type { AsyncStream } from "../stream.ts";
import type { ProcWatchHooks } from "./watch_hooks.ts";
import { placementsOf, type ProcessWatchStats } from "./watch_stats.ts";

const ACTION = "watch processes";

/** Datagrams that one receive can fetch. More would only leave the processor's cache. */
const SLOTS = 256;
/** A process event has 76 bytes today and may grow; what is larger comes from somebody else. */
const SLOT_BYTES = 128;

/**
 * A watch of process events: an async iterator of {@linkcode ProcessEvent}. The kernel's socket buffer is the queue; an
 * iteration that does not come back for more lets it fill up, and what does not fit is counted in a `lost` event.
 *
 * Each event goes to one reader: who asked first gets the first. Leaving a `for await` closes the watch.
 *
 * An open watch keeps the program alive, also one that nobody reads: {@linkcode ProcWatch.unref} lets it end.
 */
export class ProcWatch<Event extends ProcessEvent = ProcessEvent> implements AsyncStream<Event> {
  readonly #system: System;
  readonly #datagrams: DatagramBatch;
  readonly #loss: LossCounter;
  readonly #untrusted: UntrustedSenders;
  readonly #decoder: EventDecoder;
  readonly #hooks: ProcWatchHooks<Event> | undefined;
  readonly #filter: CheckedFilter;
  readonly #subscribing: SubscriptionOptions;
  readonly #judges: boolean;
  readonly #bySequence: boolean;
  readonly #pause: () => number;
  readonly #execWakeup: ExecWakeup | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#fail(this.#signal!.reason);
  readonly #heartbeatMs: number;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  readonly #drained = (): boolean => !this.#more && this.#pending.length === 0;
  readonly #ahead = (): readonly ProcessEvent[] => {
    try {
      this.#look(this.#pending);
    } catch {
      // The batch that asks comes first: the next look fails in the same way.
    }
    return this.#pending;
  };
  readonly #reads = new EventReads<Event>(() => this.#nextBatch());
  #alive = true;
  #subscription: ProcSubscription;
  #receiver: Receiver;
  #pending: ProcessEvent[] = [];
  #wallClock: WallClock | undefined;
  #wallClockBatch = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #more = false;
  /** The socket was looked into since the last wait: where nothing was left in it, another look is not worth it yet. */
  #looked = false;
  #reading = false;
  #draining = false;
  #received = 0;
  #receivedAtBeat = 0;
  #batches = 0;
  #wakeUps = 0;
  #heartbeats = 0;
  #interruptions = 0;
  readonly #load = new LoadMeter();

  /** Subscribes; when it returns, the kernel has acknowledged. */
  constructor(
    system: System,
    options: ProcWatchOptions,
    hooks?: ProcWatchHooks<Event>,
    places: readonly FilterPlace[] = ["kernel", "bpf"],
  ) {
    options.signal?.throwIfAborted();
    const asked = checkFilter(options, ACTION);
    const filter = hooks?.threadLife ? withThreadLife(asked) : asked;
    const { latencyMs, heartbeatMs } = checkTimes(options, ACTION);
    this.#system = system;
    this.#hooks = hooks;
    this.#filter = filter;
    this.#signal = options.signal;
    this.#subscribing = {
      mask: places.includes("kernel") ? kernelMask(filter) : undefined,
      program: places.includes("bpf") ? filterProgram(filter) : undefined,
      receiveBufferBytes: clampReceiveBuffer(
        system.libc,
        options.receiveBufferBytes ?? DEFAULT_RECEIVE_BUFFER_BYTES,
        ACTION,
      ),
      onInterruption: (failure) => failure === undefined ? this.#restart() : this.#fail(failure),
    };
    this.#pause = hooks?.eager ? () => this.#load.fast ? latencyMs : 0 : () => latencyMs;
    this.#untrusted = new UntrustedSenders(system.libc);
    this.#datagrams = new DatagramBatch(system.libc, SLOTS, SLOT_BYTES);
    this.#subscription = ProcSubscription.open(system, this.#datagrams, ACTION, this.#subscribing);
    try {
      const { mask, program } = this.#subscribing;
      const filtersInKernel = mask !== undefined && this.#subscription.kernelFilters;
      this.#judges = filterParts(filter).length > 0 && (program === undefined || !fitsProgram(filter));
      this.#bySequence = program === undefined && !filtersInKernel;
      this.#loss = new LossCounter(this.#bySequence, this.#subscription.dropsBefore);
      this.#loss.checkpoint(monotonicNs(system.libc));
      const judged = filter.threadLife ? checkFilter({}, ACTION) : filter;
      this.#decoder = new EventDecoder(this.#datagrams, this.#loss, this.#untrusted, judged, this.#judges);
      if (hooks?.eager) this.#execWakeup = ExecWakeup.open(system.libc, ACTION);
      this.#receiver = this.#receive();
    } catch (error) {
      this.#execWakeup?.[Symbol.dispose]();
      this.#subscription.close();
      throw error;
    }
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.#heartbeatMs = heartbeatMs;
    // The thread that waits starts after the caller has its subscription, and keeps the process alive from then on.
    system.deferStart(() => this.#receiver.start());
  }

  /** The next event. Rejects once with what the watch failed with or was aborted for. */
  next(): Promise<IteratorResult<Event, undefined>> {
    return this.#reads.next();
  }

  /** Closes the watch: `for await` calls it when it is left early. */
  return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** The watch itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * The same events in arrays as they came, up to a few hundred at a time and never empty: the cheap way under load.
   * Leaving it early closes the watch.
   */
  batches(): AsyncStream<readonly Event[]> {
    return this.#reads.batches(() => this.close());
  }

  /**
   * When an event happened by the wall clock, in milliseconds since 1970, with a fraction: its `timestampNs` plus what the
   * wall clock is ahead, which is read again for each batch. Where somebody has set the clock, what was received before
   * keeps the old time.
   */
  wallTimeMs(timestampNs: bigint): number {
    if (this.#wallClock === undefined) this.#wallClock = new WallClock(this.#system.libc);
    else if (this.#wallClockBatch !== this.#batches) this.#wallClock.readAgain();
    this.#wallClockBatch = this.#batches;
    return this.#wallClock.timeMs(timestampNs);
  }

  /** Counters of this watch, as they are now. */
  stats(): ProcessWatchStats {
    return {
      received: this.#received,
      delivered: this.#reads.delivered,
      lost: this.#loss.lost,
      interruptions: this.#interruptions,
      lossKnownBy: this.#bySequence ? "drops and sequence" : "drops",
      untrusted: this.#untrusted.count,
      untrustedSenders: this.#untrusted.list(),
      malformed: this.#decoder.malformed,
      wakeUps: this.#wakeUps + this.#receiver.wakeUps,
      batches: this.#batches,
      heartbeats: this.#heartbeats,
      receiveBufferBytes: {
        asked: this.#subscribing.receiveBufferBytes,
        granted: this.#subscription.receiveBufferBytes,
      },
      kernelFilters: this.#subscription.kernelFilters,
      filters: [
        ...placementsOf(this.#filter, this.#subscribing, this.#subscription.kernelFilters, this.#judges),
        ...this.#hooks?.filters ?? [],
      ],
      commandLines: this.#hooks?.commandLines?.(),
    };
  }

  /** The filter before the queue as text, a step a line; empty where there is none. */
  explain(): string {
    return this.#subscribing.program === undefined ? "" : disassemble(this.#subscribing.program);
  }

  /**
   * Lets the program end although the watch is open; the subscription is taken back then. It is received as before
   * while something else keeps the program alive.
   */
  unref(): this {
    return this.#keepAlive(false);
  }

  /** Keeps the program alive again, as a watch does from the start. */
  ref(): this {
    return this.#keepAlive(true);
  }

  /**
   * Lets nothing more into the queue: an iteration hands out what is in it, and then ends, and the watch is closed.
   * {@linkcode close} throws it away.
   */
  drain(): void {
    if (this.#closed || this.#draining) return;
    this.#draining = true;
    clearInterval(this.#heartbeat); // silence is what is wanted now
    this.#subscription.leave();
    this.#looked = false; // something may have been queued since
    this.#receiver.wake();
  }

  /** Takes the subscription back and releases everything. An iteration that waits ends. A second call does nothing. */
  close(): void {
    this.#reads.end();
    this.finish();
  }

  /** As {@linkcode close}, but what was received before is still handed out: for a watch that ends by itself. */
  finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#receiver.close();
    this.#execWakeup?.[Symbol.dispose]();
    this.#subscription.close();
    this.#hooks?.onClose?.();
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  /** Waits for the next batch, which is not empty; undefined at the end. */
  async #nextBatch(): Promise<readonly Event[] | undefined> {
    while (!this.#closed) {
      let events: Event[];
      try {
        if (this.#looked && this.#drained()) {
          if (this.#draining) {
            this.close();
            break;
          }
          this.#looked = false;
          this.#reading = true;
          if (this.#heartbeatMs > 0) this.#startBeating();
          await this.#receiver.wait(this.#hooks?.dueMs());
          this.#reading = false;
          continue;
        }
        events = this.#take();
        this.#looked = true;
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (this.#receiver.shouldYield) await this.#receiver.yieldToEventLoop();
      if (events.length > 0 && !this.#reads.ended) return events;
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.error;
    return undefined;
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    this.#failure = { error };
    this.close();
  }

  /** One look into the socket: the events that were queued, with the losses among them, ready to be handed out. */
  #take(): Event[] {
    const events = this.#pending;
    this.#pending = [];
    const count = this.#tryLook(events);
    if (this.#hooks?.eager) this.#load.note(count);
    if (this.#execWakeup !== undefined && events.some(({ type }) => type === "exec")) {
      this.#execWakeup.heard();
    }
    return this.#hooks === undefined
      ? events as Event[]
      : this.#hooks.batch(events, this.#ahead, this.#drained);
  }

  /** As {@linkcode #look}, but what was received comes before a failure: the next look fails in the same way. */
  #tryLook(events: ProcessEvent[]): number {
    try {
      return this.#look(events);
    } catch (error) {
      if (events.length === 0) throw error;
      this.#more = false;
      return 0;
    }
  }

  /** Fetches what is queued, up to all slots; answers how many datagrams. */
  #look(events: ProcessEvent[]): number {
    const count = this.#receiver.receive();
    this.#more = count === SLOTS;
    for (let i = 0; i < count; i++) this.#decoder.decode(i, events);
    this.#received += count;
    if (count > 0) this.#batches++;
    // Behind the last queued event nothing hides any more: what was dropped and not seen as a gap was dropped here.
    if (!this.#more || !this.#bySequence) {
      const lost = this.#loss.settle(
        this.#subscription.socket.drops(),
        () => monotonicNs(this.#system.libc),
      );
      if (lost !== undefined) events.push(lost);
    }
    return count;
  }

  /** After a silence, asks the kernel whether the subscription is alive; renews it where it is not. */
  #beat(): void {
    const silent = this.#reading && this.#received === this.#receivedAtBeat;
    this.#receivedAtBeat = this.#received;
    if (!silent) return;
    try {
      this.#heartbeats++;
      this.#decoder.startProbe(this.#subscription.probe());
      this.#look(this.#pending);
      while (this.#more) this.#look(this.#pending);
      const alive = this.#decoder.endProbe();
      this.#subscription.endProbe();
      this.#receivedAtBeat = this.#received;
      if (alive) this.#loss.checkpoint(monotonicNs(this.#system.libc));
      else this.#renew();
    } catch (error) {
      return this.#fail(error);
    }
    if (this.#pending.length > 0) this.#receiver.wake();
  }

  #renew(): void {
    // The dead one goes first: whatever fails from here on, nothing of it is left, and nothing is taken back for it.
    this.#receiver.close();
    this.#subscription.abandon();
    this.#subscription = ProcSubscription.open(this.#system, this.#datagrams, ACTION, this.#subscribing);
    this.#wakeUps += this.#receiver.wakeUps;
    this.#receiver = this.#receive();
    this.#restart();
  }

  #startBeating(): void {
    if (this.#heartbeat !== undefined) return;
    this.#heartbeat = setInterval(() => this.#beat(), this.#heartbeatMs);
    if (!this.#alive) keepTimerAlive(this.#heartbeat, false);
  }

  #keepAlive(alive: boolean): this {
    this.#alive = alive;
    this.#receiver.keepAlive(alive);
    keepTimerAlive(this.#heartbeat, alive);
    return this;
  }

  /** Says in the stream that nobody knows what was lost. */
  #restart(): void {
    this.#interruptions++;
    const { dropsBefore } = this.#subscription;
    this.#pending.push(this.#loss.restart(dropsBefore, monotonicNs(this.#system.libc)));
    this.#receiver.wake();
  }

  #receive(): Receiver {
    const receiver = new Receiver(
      this.#system,
      this.#subscription.socket,
      this.#datagrams,
      ACTION,
      this.#pause,
      this.#execWakeup && (() => this.#execWakeup!.busyPoll()),
    );
    receiver.keepAlive(this.#alive);
    return receiver;
  }
}
