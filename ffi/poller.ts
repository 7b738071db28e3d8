import {
  EFD_CLOEXEC_NONBLOCK,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLL_EVENT,
  EPOLLIN,
  EPOLLONESHOT,
  O_CLOEXEC,
} from "./constants.ts";
import { type StartWaiting, ThreadError, type WaitingThread } from "./epoll_thread.ts";
import type { EventCalls, ExitHook, Poller } from "./libc.ts";

const ENOENT = 2;

type OnExit = (hook: ExitHook) => () => void;

interface Waiting {
  readonly epollFd: number;
  readonly stopFd: number;
  thread: WaitingThread | undefined;
  removeExitHook?: (() => void) | undefined;
}

interface Added {
  readonly onReady: (error?: Error) => void;
  alive: boolean;
}

/**
 * The process's one epoll set. The set lives while it has descriptors; its thread starts when something is first
 * waited for, so that opening a subscription does not pay for a thread.
 */
export class EpollPoller implements Poller {
  readonly #libc: EventCalls;
  readonly #startWaiting: StartWaiting;
  readonly #onExit: OnExit | undefined;
  readonly #added = new Map<number, Added>();
  readonly #event: Int32Array<ArrayBuffer>;
  #waiting: Waiting | undefined;
  failedCall = "epoll_ctl";

  /** `onExit` is given where a thread inside of C would keep the process from ending. */
  constructor(libc: EventCalls, startWaiting: StartWaiting, onExit?: OnExit) {
    this.#libc = libc;
    this.#startWaiting = startWaiting;
    this.#onExit = onExit;
    this.#event = new Int32Array(EPOLL_EVENT[libc.arch].SIZE);
  }

  add(fd: number, onReady: (error?: Error) => void): number {
    if (this.#waiting === undefined) {
      const opened = this.#open();
      if (typeof opened === "number") return opened;
      this.#waiting = opened;
    }
    const result = this.#control(this.#waiting.epollFd, EPOLL_CTL_ADD, fd, EPOLLONESHOT);
    if (result >= 0) this.#added.set(fd, { onReady, alive: true });
    else if (this.#added.size === 0) this.#shut();
    if (result >= 0) this.#applyAlive();
    return result;
  }

  arm(fd: number): number {
    const waiting = this.#waiting;
    // The thread has died, and the set with it: the answer is the kernel's for a descriptor that is not in the set.
    if (waiting === undefined) return -ENOENT;
    const result = this.#control(waiting.epollFd, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT);
    if (result >= 0 && waiting.thread === undefined) this.#start(waiting);
    return result;
  }

  remove(fd: number): void {
    if (!this.#added.delete(fd)) return;
    this.#control(this.#waiting!.epollFd, EPOLL_CTL_DEL, fd, 0);
    if (this.#added.size === 0) this.#shut();
    else this.#applyAlive();
  }

  keepAlive(fd: number, alive: boolean): void {
    const added = this.#added.get(fd);
    if (added === undefined || added.alive === alive) return;
    added.alive = alive;
    this.#applyAlive();
  }

  #applyAlive(): void {
    const thread = this.#waiting?.thread;
    if (thread === undefined) return;
    thread.keepAlive([...this.#added.values()].some(({ alive }) => alive));
  }

  #open(): Waiting | number {
    const epollFd = this.#libc.epoll_create1(O_CLOEXEC);
    if (epollFd < 0) {
      this.failedCall = "epoll_create1";
      return epollFd;
    }
    const stopFd = this.#libc.eventfd(0, EFD_CLOEXEC_NONBLOCK);
    // The stop descriptor is level-triggered: once written, every epoll_wait returns at once.
    const result = stopFd < 0 ? stopFd : this.#control(epollFd, EPOLL_CTL_ADD, stopFd, EPOLLIN);
    if (result < 0) {
      if (stopFd < 0) this.failedCall = "eventfd";
      else this.#libc.close(stopFd);
      this.#libc.close(epollFd);
      return result;
    }
    return { epollFd, stopFd, thread: undefined };
  }

  #start(waiting: Waiting): void {
    const onReady = (fd: number): void => this.#added.get(fd)?.onReady();
    const onDeath = (error: Error): void => {
      if (this.#waiting !== waiting) return;
      const added = [...this.#added.values()];
      this.#added.clear();
      this.#shut();
      for (const { onReady } of added) onReady(error);
    };
    try {
      waiting.thread = this.#startWaiting(waiting.epollFd, waiting.stopFd, onReady, onDeath);
      waiting.removeExitHook = this.#onExit?.({ leave: () => this.#wake(waiting.stopFd) });
    } catch (cause) {
      waiting.thread = { stop: () => Promise.resolve(), keepAlive: () => {} };
      const error = new ThreadError((cause as Error).message, { cause });
      // As any other death, it comes after the call that asked for the thread.
      queueMicrotask(() => onDeath(error));
    }
    this.#applyAlive();
  }

  #shut(): void {
    const { epollFd, stopFd, thread, removeExitHook } = this.#waiting!;
    this.#waiting = undefined;
    removeExitHook?.();
    const close = (): void => {
      this.#libc.close(stopFd);
      this.#libc.close(epollFd);
    };
    if (thread === undefined) return close();
    this.#wake(stopFd);
    // The thread may still be inside epoll_wait: its descriptors are closed when it has left.
    void thread.stop().then(close, close);
  }

  #wake(stopFd: number): void {
    this.#libc.write(stopFd, new Uint8Array(new BigUint64Array([1n]).buffer));
  }

  #control(epollFd: number, operation: number, fd: number, events: number): number {
    const at = EPOLL_EVENT[this.#libc.arch];
    this.failedCall = "epoll_ctl";
    this.#event[at.events] = events;
    this.#event[at.data] = fd;
    return this.#libc.epoll_ctl(epollFd, operation, fd, new Uint8Array(this.#event.buffer));
  }
}
