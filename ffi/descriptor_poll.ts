import { POLLFD } from "./constants.ts";
import type { SocketCalls } from "./libc.ts";

/** Asks poll(2) about one descriptor at a time. */
export class DescriptorPoll {
  readonly #libc: Pick<SocketCalls, "poll">;
  readonly #pollfd = new Int16Array(new ArrayBuffer(POLLFD.SIZE * 2));
  readonly #bytes = new Uint8Array(this.#pollfd.buffer);
  readonly #fd = new Int32Array(this.#pollfd.buffer, POLLFD.fd, 1);

  constructor(libc: Pick<SocketCalls, "poll">) {
    this.#libc = libc;
  }

  /**
   * Which of `events` are ready now, or become so within a time, during which the thread is blocked: 0 for none, or
   * `-errno`. POLLERR, POLLHUP and POLLNVAL come unasked.
   */
  ready(fd: number, events: number, timeoutMs: number = 0): number {
    this.#fd[0] = fd;
    this.#pollfd[POLLFD.events] = events;
    const count = this.#libc.poll(this.#bytes, timeoutMs);
    return count > 0 ? this.#pollfd[POLLFD.revents]! : count;
  }
}
