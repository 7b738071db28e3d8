import type { WaitingThread } from "./poller.ts";

/** Why a waiting thread gives up. */
export const EPOLL_WAIT_FAILS = "the waiting thread's epoll_wait fails again and again";

/** A worker that runs the program of `threadSource()`, as it is heard. */
export interface WorkerHandle extends WaitingThread {
  /** Takes a message of it: a descriptor that is ready, or its last word. */
  readonly onMessage: (message: number | string) => void;
  /** It has ended: with an error where it was not told to. Only the first time counts. */
  readonly onEnd: (error?: Error) => void;
}

/** The slice of a worker that keeps the process alive or does not. */
export interface ReferencedWorker {
  ref(): void;
  unref(): void;
}

/** Hears a worker until its end; `release` is called there. */
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
