import { EPOLL_EVENT, EVENTS_AT_ONCE } from "./poller.ts";

/** Consecutive failures of epoll_wait after which the thread is taken for lost: SIGSTOP and SIGCONT cause one each. */
export const MANY_FAILURES = 1000;

/**
 * The timeout of each epoll_wait. A worker that is terminated first ends its own threads, and cannot interrupt one that
 * is in a C call: a thread that a worker started returns from C once a second. The main thread's has no timeout: an idle
 * program is never woken.
 */
export function epollTimeoutMs(isMainThread: boolean): number {
  return isMainThread ? -1 : 1000;
}

/**
 * The program of a waiting thread, as text: a worker made from a file is missing from bundles and single-file
 * binaries. `bind` is the statement that defines `epollWait(epollFd, events, count, timeoutMs)` and `post(message)`.
 *
 * It posts a descriptor's number when it is ready, and "dead" when epoll_wait fails again and again.
 */
export function threadSource(
  bind: string,
  epollFd: number,
  stopFd: number,
  arch: "x64" | "arm64",
  isMainThread: boolean,
): string {
  const event = EPOLL_EVENT[arch];
  return `${bind}
const events = new Uint8Array(new ArrayBuffer(${event.SIZE * EVENTS_AT_ONCE}));
const view = new DataView(events.buffer);
const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
let failures = 0;
let stopped = false;
while (!stopped && failures < ${MANY_FAILURES}) {
  const count = epollWait(${epollFd}, events, ${EVENTS_AT_ONCE}, ${epollTimeoutMs(isMainThread)});
  failures = count < 0 ? failures + 1 : 0;
  for (let i = 0; i < count; i++) {
    const fd = view.getInt32(i * ${event.SIZE} + ${event.data}, little);
    if (fd === ${stopFd}) stopped = true;
    else post(fd);
  }
}
post(stopped ? "stopped" : "dead");
`;
}
