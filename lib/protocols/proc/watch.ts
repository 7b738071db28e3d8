import type { Machine } from "../../../ffi/libc.ts";
import { CN_IDX_PROC, CN_VAL_PROC } from "../../connector/constants.ts";
import { CN_MSG } from "../../connector/message.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { KERNEL_PORT } from "../../netlink/address.ts";
import { NLMSGHDR } from "../../netlink/message.ts";
import { Receiver } from "../../netlink/receiver.ts";
import { ReceiveRing } from "../../netlink/ring.ts";
import { monotonicNs } from "../../wire/clock.ts";
import { LITTLE } from "../../wire/host.ts";
import { readTextFile } from "../../wire/file.ts";
import type { ProcEventKind } from "./constants.ts";
import type { ProcEvent } from "./event.ts";
import { EVENT_AT, kindsMask, kindsOnly } from "./filter.ts";
import { LossCounter } from "./loss.ts";
import { decodeProcEvent } from "./message.ts";
import { ProcSubscription } from "./subscription.ts";

const ACTION = "watch processes";

/** Datagrams that one receive can fetch. More would only leave the processor's cache. */
const SLOTS = 256;
/** A process event has 76 bytes today and may grow; what is larger comes from somebody else. */
const SLOT_BYTES = 128;

const DEFAULT_RECEIVE_BUFFER_BYTES = 32 << 20;
const DEFAULT_LATENCY_MS = 2;
/** Beyond so many events a millisecond an eager watch pauses between looks as others do. */
const EAGER_EVENTS_PER_MS = 20;

/** How a watch of process events is opened. */
export interface ProcWatchOptions {
  /** The kinds of events that are wanted. Default: all, also kinds that this version does not know. */
  readonly events?: readonly ProcEventKind[] | undefined;
  /** Ends the watch; the iteration throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long an event may wait under load, in milliseconds, so that one look fetches many. Default 2. 0 looks after
   * every wake-up at once, at several times the cost. A quiet machine's events never wait.
   */
  readonly latencyMs?: number | undefined;
  /**
   * The receive buffer to ask for, in bytes. Default 32 MiB, never more than an eighth of the available memory. A
   * process event takes about 400 of them. What was granted is in `stats()`.
   */
  readonly receiveBufferBytes?: number | undefined;
}

/** What the room above adds to a watch. */
export interface ProcWatchHooks<Event extends ProcEvent> {
  /** Sees every batch before it is handed out, and answers what is handed out. */
  readonly batch: (events: ProcEvent[]) => Event[];
  /** Look at once while the load allows: what /proc says of a process is soon gone. */
  readonly eager: boolean;
}

/** What a watch has seen and how it stands. */
export interface ProcWatchStats {
  /** Datagrams that were received, whatever they were. */
  readonly received: number;
  /** Events that were handed out, `lost` events not counted. */
  readonly delivered: number;
  /** Events that were lost. */
  readonly lost: number;
  /** How `lost` is known: by the drop counter and the sequence numbers, or by the counter alone (behind a filter). */
  readonly lossKnownBy: "drops and sequence" | "drops";
  /** Datagrams that did not come from the kernel. */
  readonly foreign: number;
  /** Datagrams that were cut, too short, or of another identifier. */
  readonly malformed: number;
  /** How often the poller woke us. */
  readonly wakeUps: number;
  /** Receives that brought something. */
  readonly batches: number;
  /** The receive buffer that was asked for, and what the kernel granted, in its own count (twice, for its overhead). */
  readonly receiveBufferBytes: { readonly asked: number; readonly granted: number };
  /** Whether this kernel filters by kind itself (6.6 and newer). */
  readonly kernelFilters: boolean;
  /** Where the choice of events is made. */
  readonly filters: readonly ("kernel" | "bpf")[];
}

/**
 * A watch of process events: an async iterator of {@linkcode ProcEvent}. The kernel's socket buffer is the queue; an
 * iteration that does not come back for more lets it fill up, and what does not fit is counted in a `lost` event.
 *
 * Each event goes to one reader. Leaving a `for await` closes the watch.
 */
export class ProcWatch<Event extends ProcEvent = ProcEvent>
  implements AsyncIterableIterator<Event, undefined>, AsyncDisposable {
  readonly #machine: Machine;
  readonly #ring: ReceiveRing;
  readonly #subscription: ProcSubscription;
  readonly #receiver: Receiver;
  readonly #loss: LossCounter;
  readonly #hooks: ProcWatchHooks<Event> | undefined;
  readonly #bySequence: boolean;
  readonly #filters: readonly ("kernel" | "bpf")[];
  readonly #askedBytes: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.#fail(this.#signal!.reason);
  #batch: readonly Event[] = [];
  #index = 0;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;
  #received = 0;
  #delivered = 0;
  #foreign = 0;
  #malformed = 0;
  #batches = 0;
  #rateSince = performance.now();
  #rateCount = 0;
  #fast = false;
  #more = false;

  /** Subscribes; when it returns, the kernel has acknowledged. */
  constructor(machine: Machine, options: ProcWatchOptions, hooks?: ProcWatchHooks<Event>) {
    options.signal?.throwIfAborted();
    const mask = kindsMask(options.events);
    const latencyMs = options.latencyMs ?? DEFAULT_LATENCY_MS;
    if (!(latencyMs >= 0 && latencyMs <= 1000)) {
      throw new RangeError(`Cannot ${ACTION}: latencyMs must be 0 to 1000, and is ${latencyMs}`);
    }
    this.#machine = machine;
    this.#hooks = hooks;
    this.#signal = options.signal;
    this.#askedBytes = receiveBuffer(machine, options.receiveBufferBytes);
    this.#bySequence = mask === undefined;
    this.#ring = new ReceiveRing(machine.libc, SLOTS, SLOT_BYTES);
    const program = mask === undefined ? undefined : kindsOnly(mask);
    this.#subscription = ProcSubscription.open(machine, this.#ring, ACTION, {
      mask,
      program,
      receiveBufferBytes: this.#askedBytes,
    });
    const { socket, kernelFilters } = this.#subscription;
    try {
      this.#filters = mask === undefined ? [] : kernelFilters ? ["kernel", "bpf"] : ["bpf"];
      this.#loss = new LossCounter(this.#bySequence, socket.drops());
      const pause = hooks?.eager ? (): number => this.#fast ? latencyMs : 0 : (): number => latencyMs;
      this.#receiver = new Receiver(machine, socket, this.#ring, ACTION, pause);
    } catch (error) {
      this.#subscription.close();
      throw error;
    }
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    // The thread that waits starts after the caller has its subscription, and keeps the process alive from then on.
    setImmediate(() => this.#receiver.start());
  }

  /** The next event. Rejects once with what the watch failed with or was aborted for. */
  next(): Promise<IteratorResult<Event, undefined>> {
    const batch = this.#batch;
    if (this.#index < batch.length) return Promise.resolve({ value: batch[this.#index++]!, done: false });
    return this.#nextBatch().then((events) => {
      if (events === undefined) return { value: undefined, done: true };
      this.#batch = events;
      this.#index = 1;
      return { value: events[0]!, done: false };
    });
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
  batches(): AsyncIterableIterator<readonly Event[], undefined> & AsyncDisposable {
    const iterator: AsyncIterableIterator<readonly Event[], undefined> & AsyncDisposable = {
      next: async () => {
        const rest = this.#batch.slice(this.#index);
        this.#batch = [];
        this.#index = 0;
        const events = rest.length > 0 ? rest : await this.#nextBatch();
        return events === undefined ? { value: undefined, done: true } : { value: events, done: false };
      },
      return: () => {
        this.close();
        return Promise.resolve({ value: undefined, done: true });
      },
      [Symbol.asyncIterator]: () => iterator,
      [Symbol.asyncDispose]: () => this[Symbol.asyncDispose](),
    };
    return iterator;
  }

  /** Counters of this watch, as they are now. */
  stats(): ProcWatchStats {
    return {
      received: this.#received,
      delivered: this.#delivered,
      lost: this.#loss.lost,
      lossKnownBy: this.#bySequence ? "drops and sequence" : "drops",
      foreign: this.#foreign,
      malformed: this.#malformed,
      wakeUps: this.#receiver.wakeUps,
      batches: this.#batches,
      receiveBufferBytes: { asked: this.#askedBytes, granted: this.#subscription.receiveBufferBytes },
      kernelFilters: this.#subscription.kernelFilters,
      filters: this.#filters,
    };
  }

  /** Takes the subscription back and releases everything. An iteration that waits ends. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#batch = [];
    this.#receiver.close();
    this.#subscription.close();
  }

  /** As {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  async #nextBatch(): Promise<readonly Event[] | undefined> {
    while (!this.#closed) {
      let events: Event[];
      try {
        events = this.#take();
      } catch (error) {
        this.#fail(error);
        break;
      }
      if (this.#receiver.owesTurn) await this.#receiver.turn();
      if (events.length > 0) return events;
      if (!this.#more) await this.#receiver.wait();
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

  /** One look into the socket: the events that were queued, with the losses among them. */
  #take(): Event[] {
    const count = this.#receiver.receive();
    const events: ProcEvent[] = [];
    this.#more = count === SLOTS;
    for (let i = 0; i < count; i++) this.#decode(i, events);
    this.#received += count;
    if (count > 0) this.#batches++;
    // Behind the last queued event nothing hides any more: what was dropped and not seen as a gap was dropped here.
    if (!this.#more || !this.#bySequence) {
      const lost = this.#loss.settle(
        this.#subscription.socket.drops(),
        () => monotonicNs(this.#machine.libc),
      );
      if (lost !== undefined) events.push(lost);
    }
    if (this.#hooks?.eager) this.#measure(count);
    const handed = this.#hooks === undefined ? events as Event[] : this.#hooks.batch(events);
    for (const event of handed) if (event.type !== "lost") this.#delivered++;
    return handed;
  }

  #decode(i: number, events: ProcEvent[]): void {
    const ring = this.#ring;
    const { view } = ring;
    if (ring.senderPort(i) !== KERNEL_PORT) {
      this.#foreign++;
      return;
    }
    const at = ring.at(i);
    const end = ring.end(i);
    const cnAt = at + NLMSGHDR.SIZE;
    if (
      ring.truncated(i) || end - at < EVENT_AT || view.getUint32(at + NLMSGHDR.len, LITTLE) > end - at ||
      view.getUint32(cnAt + CN_MSG.idx, LITTLE) !== CN_IDX_PROC ||
      view.getUint32(cnAt + CN_MSG.val, LITTLE) !== CN_VAL_PROC
    ) {
      this.#malformed++;
      return;
    }
    const dataAt = at + EVENT_AT;
    const dataEnd = dataAt + view.getUint16(cnAt + CN_MSG.len, LITTLE);
    if (dataEnd > end) {
      this.#malformed++;
      return;
    }
    try {
      const event = decodeProcEvent(view, dataAt, dataEnd, view.getUint32(cnAt + CN_MSG.seq, LITTLE));
      // Acknowledgements, also those of others, take a sequence number too.
      const lost = this.#loss.see(event.cpu, event.seq, event.timestampNs);
      if (lost !== undefined) events.push(lost);
      if (event.type === "ack") return;
      events.push(event);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#malformed++;
    }
  }

  /** Whether events come so fast that looking after every wake-up would cost more than it finds. */
  #measure(count: number): void {
    this.#rateCount += count;
    const now = performance.now();
    const elapsed = now - this.#rateSince;
    if (elapsed < 10) return;
    this.#fast = this.#rateCount > elapsed * EAGER_EVENTS_PER_MS;
    this.#rateSince = now;
    this.#rateCount = 0;
  }
}

/** What to ask for: the buffer's memory is charged to nobody and can bring the out-of-memory killer on others. */
function receiveBuffer(machine: Machine, asked: number = DEFAULT_RECEIVE_BUFFER_BYTES): number {
  if (!(Number.isInteger(asked) && asked >= 1 && asked < 2 ** 30)) {
    throw new RangeError(`Cannot ${ACTION}: receiveBufferBytes must be 1 to 2^30 - 1, and is ${asked}`);
  }
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readTextFile(machine.libc, "/proc/meminfo") ?? "")
    ?.[1];
  return available === undefined ? asked : Math.min(asked, Math.floor(Number(available) * 1024 / 8));
}
