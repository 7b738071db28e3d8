import { ThreadError } from "../../ffi/epoll_thread.ts";
import type { System } from "../../ffi/libc.ts";
import { formatExplanation, threadNotStarted } from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import type { DatagramBatch } from "./datagram_batch.ts";
import type { NetlinkSocket } from "./socket.ts";

/** A wake-up this long after the previous one means a quiet system: what follows does not wait. */
const QUIET_MS = 10;

/** After this long without a turn of the event loop, receiving gives it one, for timers and other sockets. */
const TURN_MS = 5;

/**
 * When to look into a socket, and when to wait.
 *
 * Wake-ups are what receiving costs. So, as a network card does: quiet, the poller wakes us for the first datagram and
 * for the next; busy, we look again after a pause of `latencyMs` without being woken, and only a look that finds
 * nothing goes back to waiting. Nothing is ever thrown away here: the kernel's own buffer is the queue.
 */
export class Receiver {
  readonly #system: System;
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #action: string;
  readonly #latencyMs: () => number;
  readonly #busyPoll: (() => boolean) | undefined;
  /** When the poller woke us last, and how long that was after the time before. */
  #wokenAt = -Infinity;
  #gapMs = 0;
  #added = false;
  #armed = false;
  #busy = false;
  #closed = false;
  #alive = true;
  #failure: Error | undefined;
  #turnAt = performance.now();
  #waiting: { promise: Promise<void>; resolve: () => void } | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How often the poller woke us. */
  wakeUps = 0;

  /**
   * `latencyMs` is asked before each pause: the bound may follow the load. Where it is 0, `busyPoll` may hold the thread
   * for a moment, until another look is worth it, which is cheaper than a wake-up through another thread; false where
   * it is not worth that.
   */
  constructor(
    system: System,
    socket: NetlinkSocket,
    datagrams: DatagramBatch,
    action: string,
    latencyMs: () => number,
    busyPoll?: () => boolean,
  ) {
    this.#system = system;
    this.#socket = socket;
    this.#datagrams = datagrams;
    this.#action = action;
    this.#latencyMs = latencyMs;
    this.#busyPoll = busyPoll;
  }

  /** Starts waiting already, so that the process stays alive from now on. */
  start(): void {
    if (!this.#closed) this.#arm();
  }

  /**
   * Puts what is queued into the ring; what was received before a failure comes before it.
   *
   * @returns How many datagrams, 0 where none is queued.
   * @throws {SyscallError} Where the socket cannot be read any more, and what the poller failed with.
   */
  receive(): number {
    for (let tries = 0; tries < 100; tries++) {
      let count = this.#datagrams.receive(this.#socket.fd);
      // recvmmsg reports an overrun without ending the socket's congestion; a recvfrom ends it.
      if (count === -ERRNO.ENOBUFS!) count = this.#datagrams.receiveOne(this.#socket.fd);
      if (count > 0) {
        this.#busy = true;
        return count;
      }
      if (count === 0 || count === -ERRNO.EAGAIN!) break;
      // EINTR: a signal; ENOBUFS and ENOMEM: counted by the kernel as drops, and the next try may succeed.
      if (count === -ERRNO.EINTR! || count === -ERRNO.ENOBUFS! || count === -ERRNO.ENOMEM!) continue;
      throw new SyscallError(this.#action, "recvmmsg", -count);
    }
    if (this.#failure !== undefined) throw this.#failure;
    return 0;
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
   * Resolves when another look is worth it, at the latest after `limitMs`, or when {@linkcode close} was called.
   * Several may wait.
   */
  wait(limitMs?: number): Promise<void> {
    if (this.#waiting !== undefined) return this.#waiting.promise;
    if (this.#closed || this.#failure !== undefined) return Promise.resolve();
    const pauseMs = this.#busy && this.#gapMs < QUIET_MS ? this.#latencyMs() : 0;
    const mayBusyPoll = this.#busy && pauseMs === 0;
    this.#busy = false;
    if (mayBusyPoll && this.#busyPoll?.()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { promise, resolve };
    if (pauseMs > 0) this.#timer = setTimeout(() => this.wake(), pauseMs);
    else {
      this.#arm();
      if (limitMs !== undefined) this.#timer = setTimeout(() => this.wake(), limitMs);
    }
    if (!this.#alive) keepTimerAlive(this.#timer, false);
    return promise;
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

  #arm(): void {
    const { poller } = this.#system;
    // Armed once is enough: a wake-up that came while nobody waited is remembered by the kernel's level.
    if (this.#armed) return;
    if (!this.#added) {
      const result = poller.add(this.#socket.fd, (error) => this.#onReady(error));
      if (result < 0) {
        // For the first descriptor the set itself is opened, and with it what stops its thread.
        const opens = result === -ERRNO.EMFILE! || result === -ERRNO.ENFILE!;
        return this.#fail(new SyscallError(this.#action, opens ? "epoll_create1" : "epoll_ctl", -result));
      }
      this.#added = true;
      if (!this.#alive) poller.keepAlive(this.#socket.fd, false);
    }
    const result = poller.arm(this.#socket.fd);
    if (result < 0) return this.#fail(new SyscallError(this.#action, "epoll_ctl", -result));
    this.#armed = true;
  }

  #onReady(error?: Error): void {
    this.#armed = false;
    const now = performance.now();
    this.#gapMs = now - this.#wokenAt;
    this.#wokenAt = now;
    this.wakeUps++;
    if (error === undefined) return this.wake();
    this.#added = false; // the poller has forgotten everything
    const reason = error instanceof ThreadError
      ? formatExplanation(threadNotStarted(error.message))
      : error.message;
    this.#fail(new Error(`Cannot ${this.#action}: ${reason}`, { cause: error }));
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.wake();
  }

  /** Ends every wait now. */
  wake(): void {
    clearTimeout(this.#timer);
    this.#turnAt = performance.now();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve();
  }
}

interface Timer {
  ref?(): void;
  unref?(): void;
}

interface DenoTimers {
  refTimer(id: number): void;
  unrefTimer(id: number): void;
}

/** Says whether a timer keeps the program alive, as it does at first. In Deno a timer may be a mere number. */
export function keepTimerAlive(timer: ReturnType<typeof setTimeout> | undefined, alive: boolean): void {
  if (timer === undefined) return;
  if (typeof timer === "object") (timer as Timer)[alive ? "ref" : "unref"]?.();
  else (globalThis as unknown as { Deno: DenoTimers }).Deno[alive ? "refTimer" : "unrefTimer"](timer);
}
