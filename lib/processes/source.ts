import { POLLIN } from "../../ffi/constants.ts";
import { DescriptorPoll } from "../../ffi/descriptor_poll.ts";
import type { System } from "../../ffi/libc.ts";
import { UntrustedSenders } from "../connector/untrusted_senders.ts";
import { disassemble } from "../netlink/bpf.ts";
import { DatagramBatch } from "../netlink/datagram_batch.ts";
import { clampReceiveBuffer } from "../netlink/socket.ts";
import { Receiver } from "../netlink/receiver.ts";
import { monotonicNs } from "../procfs/clock.ts";
import { filterProgram, fitsProgram } from "./bpf_filter.ts";
import { EventDecoder } from "./decoder.ts";
import type { ProcessEvent } from "./event.ts";
import { ALL_EVENTS, type CheckedFilter, filterParts, type FilterPlace, kernelMask } from "./event_filter.ts";
import { LossCounter } from "./loss.ts";
import type { BatchContext } from "./pipeline.ts";
import { type FilterPlacement, placementsOf, type SourceStats } from "./stats.ts";
import { ProcSubscription, type SubscriptionOptions } from "./subscription.ts";

/** Completes "Cannot …" in the errors. */
const ACTION = "watch processes";

/** Datagrams that one receive can fetch. More would only leave the processor's cache. */
const SLOTS = 256;
/** A process event has 76 bytes today and may grow; what is larger comes from somebody else. */
const SLOT_BYTES = 124;

/** Above this rate of events an eager source pauses between receives as others do. */
const EAGER_EVENTS_PER_MS = 20;
/** The shortest time over which the rate is measured. */
const MEASURED_MS = 10;

/** How many times as long the event loop has to itself after a wait for an exec. */
const EXEC_WAIT_PAUSES = 4;

/** What a source receives, and how. */
export interface SourceOptions {
  /** What is received; with `threadLife` also what {@linkcode CheckedFilter} says, and then nothing is filtered here. */
  readonly filter: CheckedFilter;
  /** Where the filter may be applied, in addition to TypeScript. */
  readonly places: readonly FilterPlace[];
  /** How long an event may wait under load, in milliseconds. */
  readonly latencyMs: number;
  /** The receive buffer to ask for, in bytes. */
  readonly receiveBufferBytes: number;
  /** Whether to receive after every wake-up at once while the load allows, now: what /proc says of a process is soon gone. */
  readonly eager: () => boolean;
  /** How long an eager source waits inside the kernel for the exec that a fork announces; 0 for not at all. */
  readonly execWaitMs: number;
}

/**
 * Where process events come from: a subscribed socket, what decodes its datagrams, and what counts losses. The kernel's
 * receive buffer is the queue; here only what `peek` or a heartbeat has received waits for the next `read`.
 */
export class ProcessEventSource implements BatchContext {
  readonly #system: System;
  readonly #options: SourceOptions;
  readonly #subscribing: SubscriptionOptions;
  readonly #datagrams: DatagramBatch;
  readonly #untrusted: UntrustedSenders;
  readonly #loss: LossCounter;
  readonly #decoder: EventDecoder;
  readonly #filtersHere: boolean;
  readonly #bySequence: boolean;
  #subscription: ProcSubscription;
  #receiver: Receiver;
  #pending: ProcessEvent[] = [];
  /** The last receive filled all slots: there may be more. */
  #more = false;
  /** Received since the last wait: if nothing was left then, another receive is not worth it yet. */
  #hasRead = false;
  /** The drop counter has not been read since the last receive, or it has changed. */
  #dropsUnread = false;
  #alive = true;
  #rateSince: number = performance.now();
  #rateCount = 0;
  #isBusy = false;
  readonly #poll: DescriptorPoll;
  #nextExecWait = 0;
  #wakeUps = 0;
  #interruptions = 0;
  /** Datagrams received. */
  received = 0;
  /** Receives that brought something. */
  batches = 0;

  /**
   * Subscribes: when it returns, the kernel has acknowledged.
   *
   * @param onFailure Called when the subscription was taken back, as an error announced the end of the program, and
   * could not be made again.
   */
  constructor(system: System, options: SourceOptions, onFailure: (error: unknown) => void) {
    const { filter, places } = options;
    this.#system = system;
    this.#poll = new DescriptorPoll(system.libc);
    this.#options = options;
    this.#subscribing = {
      mask: places.includes("kernel") ? kernelMask(filter) : undefined,
      program: places.includes("bpf") ? filterProgram(filter) : undefined,
      receiveBufferBytes: clampReceiveBuffer(system.libc, options.receiveBufferBytes, ACTION),
      onInterruption: (failure) => failure === undefined ? this.#restart() : onFailure(failure),
    };
    this.#untrusted = new UntrustedSenders(system.libc);
    this.#datagrams = new DatagramBatch(system.libc, SLOTS, SLOT_BYTES);
    this.#subscription = ProcSubscription.open(system, this.#datagrams, ACTION, this.#subscribing);
    try {
      const { mask, program } = this.#subscribing;
      const filtersInKernel = mask !== undefined && this.#subscription.kernelFilters;
      this.#filtersHere = filterParts(filter).length > 0 && (program === undefined || !fitsProgram(filter));
      this.#bySequence = program === undefined && !filtersInKernel;
      this.#loss = new LossCounter(this.#bySequence, this.#subscription.dropsBefore);
      this.#loss.checkpoint(monotonicNs(system.libc));
      const decoded = filter.threadLife ? ALL_EVENTS : filter;
      this.#decoder = new EventDecoder(
        this.#datagrams,
        this.#loss,
        this.#untrusted,
        decoded,
        this.#filtersHere,
      );
      this.#receiver = this.#openReceiver();
    } catch (error) {
      this.#subscription.close();
      throw error;
    }
  }

  /**
   * Begins to be woken, and to keep the program alive. To be called when whatever reads /proc at first has done so: until
   * then nobody could follow a wake-up, for which those pay who make events.
   */
  start(): void {
    this.#receiver.start();
  }

  /** Whether nothing more is queued behind what was read, as far as is known. */
  get drained(): boolean {
    return !this.#more && this.#pending.length === 0;
  }

  /** Whether another read before a wait would find nothing. */
  isExhausted(): boolean {
    return this.#hasRead && this.drained && !this.hasUnreadDrops();
  }

  /** Whether the kernel dropped something that the next read will report, behind the events that are queued before it. */
  hasUnreadDrops(): boolean {
    if (!this.#dropsUnread) return false;
    this.#dropsUnread = this.#subscription.socket.drops() !== this.#loss.drops;
    return this.#dropsUnread;
  }

  /** Receives once, without waiting: the events that were queued, with the losses among them. */
  read(): ProcessEvent[] {
    const events = this.#pending;
    this.#pending = [];
    this.#hasRead = true;
    this.#receiveAfter(events);
    const { eager, execWaitMs } = this.#options;
    if (execWaitMs > 0 && eager() && !this.#isBusy) this.#awaitExec(events, execWaitMs);
    return events;
  }

  peek(): readonly ProcessEvent[] {
    try {
      this.#receive(this.#pending);
    } catch {
      // The batch at hand comes first: the next read fails in the same way.
    }
    return this.#pending;
  }

  /** Resolves when another read is worth it, at the latest after `limitMs`. */
  wait(limitMs: number | undefined): Promise<void> {
    this.#hasRead = false;
    return this.#receiver.wait(limitMs);
  }

  /** Whether a reader waits. */
  get isWaiting(): boolean {
    return this.#receiver.isWaiting;
  }

  /** Lets the event loop take a turn if it has waited long for one. */
  get shouldYield(): boolean {
    return this.#receiver.shouldYield;
  }

  /** Lets the event loop take a turn. */
  yieldToEventLoop(): Promise<void> {
    return this.#receiver.yieldToEventLoop();
  }

  /** Asks the kernel for a proof that the subscription is alive, and returns whether it was received. */
  probe(): boolean {
    const probe = this.#subscription.probe();
    this.#decoder.startProbe(probe);
    do this.#receive(this.#pending); while (this.#more || this.#dropsUnread);
    this.#decoder.endProbe();
    this.#subscription.endProbe();
    if (probe.seen) this.#loss.checkpoint(monotonicNs(this.#system.libc));
    if (this.#pending.length > 0) this.#receiver.wake();
    return probe.seen;
  }

  /** Replaces a subscription that has died. */
  renew(): void {
    // The dead one goes first: whatever fails from here on, nothing of it is left, and nothing is taken back for it.
    this.#receiver.close();
    this.#subscription.abandon();
    this.#subscription = ProcSubscription.open(this.#system, this.#datagrams, ACTION, this.#subscribing);
    this.#wakeUps += this.#receiver.wakeUps;
    this.#receiver = this.#openReceiver();
    this.#restart();
  }

  /** Takes the subscription back. What is queued can still be read. */
  leave(): void {
    this.#subscription.leave();
    this.#hasRead = false; // something may have been queued since
    this.#receiver.wake();
  }

  /** Whether waiting keeps the program alive, as it does at first. */
  keepAlive(alive: boolean): void {
    this.#alive = alive;
    this.#receiver.keepAlive(alive);
  }

  /** Takes the subscription back and releases everything. A wait ends. */
  close(): void {
    this.#receiver.close();
    this.#subscription.close();
  }

  /** The filter before the queue as text, one instruction a line; empty if there is none. */
  explain(): string {
    return this.#subscribing.program === undefined ? "" : disassemble(this.#subscribing.program);
  }

  /** Where each part of the filter is applied. */
  placements(): FilterPlacement[] {
    const { kernelFilters } = this.#subscription;
    return placementsOf(this.#options.filter, this.#subscribing, kernelFilters, this.#filtersHere);
  }

  /** Counters, as they are now. */
  stats(): SourceStats {
    return {
      received: this.received,
      lost: this.#loss.lost,
      interruptions: this.#interruptions,
      lossKnownBy: this.#bySequence ? "drops and sequence" : "drops",
      untrusted: this.#untrusted.count,
      untrustedSenders: this.#untrusted.list(),
      malformed: this.#decoder.malformed,
      wakeUps: this.#wakeUps + this.#receiver.wakeUps,
      batches: this.batches,
      receiveBufferBytes: {
        asked: this.#subscribing.receiveBufferBytes,
        granted: this.#subscription.receiveBufferBytes,
      },
      kernelFilters: this.#subscription.kernelFilters,
    };
  }

  /** As {@linkcode #receive}, but what was received before comes before a failure: the next read fails in the same way. */
  #receiveAfter(events: ProcessEvent[]): void {
    try {
      this.#receive(events);
    } catch (error) {
      if (events.length === 0) throw error;
      this.#more = false;
    }
  }

  /** Receives what is queued, up to all slots. */
  #receive(events: ProcessEvent[]): void {
    const count = this.#receiver.receive();
    this.#more = count === SLOTS;
    this.#decoder.decode(count, events);
    this.received += count;
    if (count > 0) this.batches++;
    if (this.#options.eager()) this.#measureRate(count);
    // Where gaps show losses as well, the drop counter can wait until these events are handed out: on a quiet system the
    // call would delay every event.
    const isFirst = !this.#dropsUnread;
    this.#dropsUnread = isFirst && this.#bySequence && count > 0 && !this.#more;
    if (this.#dropsUnread) return;
    // Behind the last queued event nothing hides any more: what was dropped and not seen as a gap was dropped here.
    if (!this.#more || !this.#bySequence) {
      const nowNs = (): bigint => monotonicNs(this.#system.libc);
      const lost = this.#loss.reconcile(this.#subscription.socket.drops(), nowNs);
      if (lost !== undefined) events.push(lost);
    }
  }

  /**
   * A child executes its program within a millisecond of its fork, most often, and a short one has ended after another.
   * So a fork is not handed out at once: its exec is waited for inside the kernel, from where it takes less time and work to
   * read the program than through the event loop, which stands still meanwhile: for a fifth of the time at most.
   */
  #awaitExec(events: ProcessEvent[], limitMs: number): void {
    const start = performance.now();
    if (start < this.#nextExecWait) return;
    this.#receiveUntilExec(events, start + limitMs);
    const end = performance.now();
    this.#nextExecWait = end + EXEC_WAIT_PAUSES * (end - start);
  }

  #receiveUntilExec(events: ProcessEvent[], endMs: number): void {
    const children = new Set<number>();
    for (let i = 0; !this.#more;) {
      for (; i < events.length; i++) {
        const event = events[i]!;
        if (event.type === "exec") return;
        if (event.type === "fork" && !event.thread) children.add(event.pid);
        else if (event.type === "exit") children.delete(event.pid);
      }
      const leftMs = Math.ceil(endMs - performance.now());
      if (children.size === 0 || leftMs <= 0) return;
      // A signal ends it as well: whoever handles that needs the event loop.
      if (this.#poll.ready(this.#subscription.socket.fd, POLLIN, leftMs) <= 0) return;
      this.#receiveAfter(events);
    }
  }

  #measureRate(count: number): void {
    this.#rateCount += count;
    const now = performance.now();
    const elapsedMs = now - this.#rateSince;
    if (elapsedMs < MEASURED_MS) return;
    this.#isBusy = this.#rateCount > elapsedMs * EAGER_EVENTS_PER_MS;
    this.#rateSince = now;
    this.#rateCount = 0;
  }

  /** Reports in the stream that an unknown number was lost. */
  #restart(): void {
    this.#interruptions++;
    const { dropsBefore } = this.#subscription;
    this.#pending.push(this.#loss.restart(dropsBefore, monotonicNs(this.#system.libc)));
    this.#receiver.wake();
  }

  #openReceiver(): Receiver {
    const { eager, latencyMs } = this.#options;
    const receiver = new Receiver(
      this.#system,
      this.#subscription.socket,
      this.#datagrams,
      ACTION,
      () => eager() && !this.#isBusy ? 0 : latencyMs,
    );
    receiver.keepAlive(this.#alive);
    return receiver;
  }
}
