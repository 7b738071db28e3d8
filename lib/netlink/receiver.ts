import { ThreadError } from "../../ffi/epoll_thread.ts";
import type { System } from "../../ffi/libc.ts";
import { keepTimerAlive } from "../../ffi/timers.ts";
import { formatExplanation, threadNotStarted } from "../errors/advice.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import type { DatagramBatch } from "./datagram_batch.ts";
import { receiveQueued } from "./receive.ts";
import type { NetlinkSocket } from "./socket.ts";

/** How many wake-ups may follow each other before what comes next has to wait. */
const BURST = 8;

/** After this long without a turn of the event loop, receiving gives it one, for timers and other sockets. */
const TURN_MS = 5;

/**
 * How many datagrams a pause should let queue up: about half of what the smallest receive buffer has room for, which is
 * that of a user without privileges.
 */
const PAUSE_DATAGRAMS = 512;
/** A timer cannot be shorter. */
const SHORTEST_PAUSE_MS = 1;

/**
 * When to look into a socket, and when to wait.
 *
 * Wake-ups are what receiving costs, to us and to whoever makes the events. So, as a network card does: quiet, the poller
 * wakes us for every datagram; once that happens more often than a pause of `latencyMs` would end, we look again after
 * such a pause, and only a look that finds nothing goes back to waiting. The more arrives, the shorter is the pause.
 * Nothing is ever thrown away here: the kernel's own buffer is the queue.
 */
export class Receiver {
  readonly #system: Pick<System, "poller">;
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #action: string;
  readonly #latencyMs: () => number;
  /** When something last arrived while we waited. */
  #arrivedAt = -Infinity;
  /** A token bucket: each arrival takes one, and each `latencyMs` brings one back. */
  #tokens = 0;
  #added = false;
  #armed = false;
  #busy = false;
  #closed = false;
  #alive = true;
  #failure: Error | undefined;
  #turnAt = performance.now();
  /** When the last wait began, and how many datagrams were received since. */
  #waitedAt = -Infinity;
  #received = 0;
  #waiting: { promise: Promise<void>; resolve: () => void } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How often the poller woke us. */
  wakeUps = 0;

  /** `latencyMs` is called before each pause, so that the bound can follow the load. */
  constructor(
    system: Pick<System, "poller">,
    socket: NetlinkSocket,
    datagrams: DatagramBatch,
    action: string,
    latencyMs: () => number,
  ) {
    this.#system = system;
    this.#socket = socket;
    this.#datagrams = datagrams;
    this.#action = action;
    this.#latencyMs = latencyMs;
  }

  /** Keeps the process alive from now on, and finds out whether waiting is possible. */
  start(): void {
    if (!this.#closed) this.#arm();
  }

  /**
   * Receives what is queued into the batch. Datagrams from before a failure are returned before it is thrown.
   *
   * @returns How many datagrams, 0 if none is queued.
   * @throws {SyscallError} If the socket can no longer be read; also what the poller failed with.
   */
  receive(): number {
    const count = receiveQueued(this.#socket, this.#datagrams, this.#action);
    this.#received += count;
    if (count > 0) this.#busy = true;
    else if (this.#failure !== undefined) throw this.#failure;
    return count;
  }

  /** Whether the event loop has waited long enough for a turn. */
  get shouldYield(): boolean {
    return performance.now() - this.#turnAt > TURN_MS;
  }

  /** Gives the event loop a turn. */
  async yieldToEventLoop(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnAt = performance.now();
  }

  /**
   * Resolves when it is worth reading again, at the latest after `limitMs`, or on {@linkcode close}. Several callers may
   * wait.
   */
  wait(limitMs?: number): Promise<void> {
    if (this.#waiting !== undefined) return this.#waiting.promise;
    if (this.#closed || this.#failure !== undefined) return Promise.resolve();
    const now = performance.now();
    const pauseMs = this.#busy && this.#tokens < 1 ? this.#pauseMs(now - this.#waitedAt) : 0;
    this.#waitedAt = now;
    this.#received = 0;
    this.#busy = false;
    if (pauseMs === 0 && !this.#arm()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { promise, resolve };
    const timeoutMs = pauseMs > 0 ? pauseMs : limitMs;
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.wake(), timeoutMs);
    if (!this.#alive) keepTimerAlive(this.#timer, false);
    return promise;
  }

  /** At most `latencyMs`; shorter if more than {@linkcode PAUSE_DATAGRAMS} would arrive, as in the last `elapsedMs`. */
  #pauseMs(elapsedMs: number): number {
    const untilFullMs = elapsedMs * PAUSE_DATAGRAMS / this.#received;
    return Math.min(this.#latencyMs(), Math.max(SHORTEST_PAUSE_MS, untilFullMs));
  }

  /** Whether somebody waits. */
  get isWaiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Whether waiting keeps the program alive, as it does at first. */
  keepAlive(alive: boolean): void {
    this.#alive = alive;
    if (this.#added) this.#system.poller.keepAlive(this.#socket.fd, alive);
    keepTimerAlive(this.#timer, alive);
  }

  /** Ends every wait. Comes before the socket is closed. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#added) this.#system.poller.remove(this.#socket.fd);
    this.wake();
  }

  /** Asks for a wake-up; false if there is nothing to wait for. */
  #arm(): boolean {
    const { poller } = this.#system;
    // Arming once is enough: epoll is level-triggered, so a datagram that came before the wait still wakes us.
    if (this.#armed) return true;
    let result = 0;
    if (!this.#added) {
      result = poller.add(this.#socket.fd, (error) => this.#onReady(error));
      this.#added = result >= 0;
      if (this.#added && !this.#alive) poller.keepAlive(this.#socket.fd, false);
    }
    if (result >= 0) result = poller.arm(this.#socket.fd);
    if (result < 0) this.#fail(new SyscallError(this.#action, poller.failedCall, -result));
    this.#armed = result === 0;
    if (result > 0) this.#noteArrival();
    return this.#armed;
  }

  #onReady(error?: Error): void {
    this.#armed = false;
    this.wakeUps++;
    if (error === undefined) {
      this.#noteArrival();
      this.#turnAt = this.#arrivedAt;
      return this.#endWait();
    }
    this.#added = false; // the poller has forgotten everything
    const reason = error instanceof ThreadError
      ? formatExplanation(threadNotStarted(error.message))
      : error.message;
    this.#fail(new Error(`Cannot ${this.#action}: ${reason}`, { cause: error }));
  }

  #noteArrival(): void {
    const now = performance.now();
    const latencyMs = this.#latencyMs();
    if (latencyMs > 0) this.#tokens = Math.min(BURST, this.#tokens + (now - this.#arrivedAt) / latencyMs) - 1;
    this.#arrivedAt = now;
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.wake();
  }

  /** Ends every wait now. */
  wake(): void {
    this.#turnAt = performance.now();
    this.#endWait();
  }

  #endWait(): void {
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve();
  }
}
