import { EPOLL_EVENT } from "./constants.ts";
import type { Libc } from "./libc.ts";

/** How many events a waiting thread fetches at a time. */
export const EVENTS_AT_ONCE = 32;

/** Consecutive failures of epoll_wait after which the thread is taken for lost: SIGSTOP and SIGCONT cause one each. */
export const MAX_FAILURES = 1000;

/** Why a waiting thread gives up. */
export const EPOLL_WAIT_FAILS = "the waiting thread's epoll_wait fails again and again";

/** The system has no thread for us. The message is its reason. */
export class ThreadError extends Error {
  override readonly name = "ThreadError";
}

/** A thread that sits in epoll_wait, reports descriptors, and ends when the descriptor `stopFd` becomes readable. */
export interface WaitingThread {
  /** Called after `stopFd` was written. Resolves when the thread no longer uses the descriptors. */
  stop(): Promise<void>;
  /** Whether the thread keeps the process alive, as it does at first. */
  keepAlive(alive: boolean): void;
}

/** Starts a waiting thread, or throws; one function for each runtime. */
export type StartWaiting = (
  epollFd: number,
  stopFd: number,
  onReady: (fd: number) => void,
  onDeath: (error: Error) => void,
) => WaitingThread;

/**
 * The timeout of each epoll_wait. A worker that is terminated first ends its own threads, and cannot interrupt one that
 * is in a C call: a thread that a worker started returns from C once a second. The main thread's has no timeout: an idle
 * program is never woken.
 */
export function epollTimeoutMs(isMainThread: boolean): number {
  return isMainThread ? -1 : 1000;
}

/** What a waiting thread is made for. */
export interface ThreadOptions {
  readonly epollFd: number;
  readonly stopFd: number;
  readonly arch: Libc["arch"];
  readonly isMainThread: boolean;
}

/**
 * The program of a waiting thread, as text: a worker made from a file is missing from bundles and single-file
 * binaries. `bind` is the statement that defines `epollWait(epollFd, events, count, timeoutMs)` and `post(message)`.
 *
 * It posts a descriptor's number when it is ready, and "dead" when epoll_wait fails again and again.
 */
export function threadSource(bind: string, { epollFd, stopFd, arch, isMainThread }: ThreadOptions): string {
  const { data, SIZE } = EPOLL_EVENT[arch];
  return `${bind}
const words = new Int32Array(new ArrayBuffer(${SIZE * EVENTS_AT_ONCE * 4}));
const events = new Uint8Array(words.buffer);
let failures = 0;
let stopped = false;
while (!stopped && failures < ${MAX_FAILURES}) {
  const count = epollWait(${epollFd}, events, ${EVENTS_AT_ONCE}, ${epollTimeoutMs(isMainThread)});
  failures = count < 0 ? failures + 1 : 0;
  for (let i = 0; i < count; i++) {
    const fd = words[i * ${SIZE} + ${data}];
    if (fd === ${stopFd}) stopped = true;
    else post(fd);
  }
}
post(stopped ? "stopped" : "dead");
`;
}

/** A worker that runs {@linkcode threadSource}. */
export interface WorkerHandle extends WaitingThread {
  /** Takes a message of the worker: a descriptor that is ready, or its last one, `"stopped"` or `"dead"`. */
  readonly onMessage: (message: number | string) => void;
  /** The worker has ended, with an error where nobody stopped it. Only the first call counts. */
  readonly onEnd: (error?: Error) => void;
}

/** The slice of a worker that keeps the process alive or does not. */
export interface ReferencedWorker {
  ref(): void;
  unref(): void;
}

/** Follows a worker to its end, where `release` is called. */
export function attachWorker(
  worker: ReferencedWorker,
  onReady: (fd: number) => void,
  onDeath: (error: Error) => void,
  release: () => void = () => {},
): WorkerHandle {
  let finished: () => void;
  const stopped = new Promise<void>((resolve) => finished = resolve);
  let ended = false;
  const onEnd = (error?: Error): void => {
    if (ended) return;
    ended = true;
    release();
    if (error !== undefined) onDeath(error);
    finished();
  };
  return {
    stop: () => stopped,
    keepAlive: (alive) => alive ? worker.ref() : worker.unref(),
    onEnd,
    onMessage(message) {
      if (typeof message === "number") onReady(message);
      else onEnd(message === "dead" ? new Error(EPOLL_WAIT_FAILS) : undefined);
    },
  };
}
