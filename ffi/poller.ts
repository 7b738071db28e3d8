import { ERRNO } from "../lib/errors/errno.ts";
import { fixedBytes, LITTLE } from "../lib/wire/host.ts";
import type { Libc, Poller } from "./libc.ts";

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x1;
const EPOLLONESHOT = 0x4000_0000;
const EFD_CLOEXEC_NONBLOCK = 0o2004000;

/** Offsets in `struct epoll_event`, which is packed on x86-64 and nowhere else. */
export const EPOLL_EVENT = {
  x64: { events: 0, data: 4, SIZE: 12 },
  arm64: { events: 0, data: 8, SIZE: 16 },
} as const;

/** How many events a waiting thread fetches at a time. */
export const EVENTS_AT_ONCE = 32;

/** A thread that sits in epoll_wait, reports descriptors, and ends when the descriptor `stopFd` becomes readable. */
export interface WaitingThread {
  /** Called after `stopFd` was written. Resolves when the thread no longer uses the descriptors. */
  stop(): Promise<void>;
}

/** Starts a waiting thread; one function for each runtime. */
export type StartWaiting = (
  epollFd: number,
  stopFd: number,
  onReady: (fd: number) => void,
  onDeath: (error: Error) => void,
) => WaitingThread;

interface Waiting {
  readonly epollFd: number;
  readonly stopFd: number;
  thread: WaitingThread | undefined;
}

/**
 * The process's one epoll set. The set lives while it has descriptors; its thread starts when something is first
 * waited for, so that a subscription does not pay for a thread before it stands.
 */
export class EpollPoller implements Poller {
  readonly #libc: Libc;
  readonly #startWaiting: StartWaiting;
  readonly #callbacks = new Map<number, (error?: Error) => void>();
  readonly #event: Uint8Array<ArrayBuffer>;
  #waiting: Waiting | undefined;

  constructor(libc: Libc, startWaiting: StartWaiting) {
    this.#libc = libc;
    this.#startWaiting = startWaiting;
    this.#event = fixedBytes(EPOLL_EVENT[libc.arch].SIZE);
  }

  add(fd: number, onReady: (error?: Error) => void): number {
    if (this.#waiting === undefined) {
      const opened = this.#open();
      if (typeof opened === "number") return opened;
      this.#waiting = opened;
    }
    const result = this.#control(this.#waiting.epollFd, EPOLL_CTL_ADD, fd, EPOLLONESHOT);
    if (result >= 0) this.#callbacks.set(fd, onReady);
    else if (this.#callbacks.size === 0) this.#shut();
    return result;
  }

  arm(fd: number): number {
    const waiting = this.#waiting;
    // As the kernel says of a descriptor that is not in the set: the thread has died, and with it the set.
    if (waiting === undefined) return -ERRNO.ENOENT!;
    const result = this.#control(waiting.epollFd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
    if (result >= 0) waiting.thread ??= this.#start(waiting);
    return result;
  }

  remove(fd: number): void {
    if (!this.#callbacks.delete(fd)) return;
    this.#control(this.#waiting!.epollFd, EPOLL_CTL_DEL, fd, 0);
    if (this.#callbacks.size === 0) this.#shut();
  }

  #open(): Waiting | number {
    const epollFd = this.#libc.epoll_create1(EPOLL_CLOEXEC);
    if (epollFd < 0) return epollFd;
    const stopFd = this.#libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
    // The stop descriptor is level-triggered: once written, every epoll_wait returns at once.
    const result = stopFd < 0 ? stopFd : this.#control(epollFd, EPOLL_CTL_ADD, stopFd, EPOLLIN);
    if (result < 0) {
      if (stopFd >= 0) this.#libc.close(stopFd);
      this.#libc.close(epollFd);
      return result;
    }
    return { epollFd, stopFd, thread: undefined };
  }

  #start(waiting: Waiting): WaitingThread {
    const onReady = (fd: number): void => this.#callbacks.get(fd)?.();
    const onDeath = (error: Error): void => {
      if (this.#waiting !== waiting) return;
      const callbacks = [...this.#callbacks.values()];
      this.#callbacks.clear();
      this.#shut();
      for (const callback of callbacks) callback(error);
    };
    return this.#startWaiting(waiting.epollFd, waiting.stopFd, onReady, onDeath);
  }

  #shut(): void {
    const { epollFd, stopFd, thread } = this.#waiting!;
    this.#waiting = undefined;
    const close = (): void => {
      this.#libc.close(stopFd);
      this.#libc.close(epollFd);
    };
    if (thread === undefined) return close();
    this.#wake(stopFd);
    // The thread may still be inside epoll_wait: its descriptors are closed when it has left.
    void thread.stop().then(close, close);
  }

  /** Called when the process ends while a thread waits: a thread inside C would keep it from ending. */
  wakeAtExit(): void {
    if (this.#waiting?.thread !== undefined) this.#wake(this.#waiting.stopFd);
  }

  #wake(stopFd: number): void {
    const one = fixedBytes(8);
    one[LITTLE ? 0 : 7] = 1;
    this.#libc.write(stopFd, one);
  }

  #control(epollFd: number, operation: number, fd: number, events: number): number {
    const { events: eventsAt, data } = EPOLL_EVENT[this.#libc.arch];
    const view = new DataView(this.#event.buffer);
    view.setUint32(eventsAt, events, LITTLE);
    view.setInt32(data, fd, LITTLE);
    return this.#libc.epoll_ctl(epollFd, operation, fd, this.#event);
  }
}
