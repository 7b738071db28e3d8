import type { Libc } from "../../ffi/libc.ts";
import { CN_IDX_PROC } from "../connector/message.ts";
import { assemble } from "../netlink/bpf.ts";
import { DatagramBatch } from "../netlink/datagram_batch.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { checkFilter } from "./event_filter.ts";
import { filterProgram } from "./bpf_filter.ts";

/** Datagrams that are received at once; the buffer has room for a few more. */
const SLOTS = 16;
const RECEIVE_BUFFER_BYTES = 16_384;

/**
 * Waits for an exec, and for nothing else. What /proc says of a new program is soon gone, so an exec is worth a wake-up
 * of its own; the forks and exits around it are not, and can be received together with it.
 *
 * It is a second socket in the group with a filter of its own. It does not subscribe: it receives what the kernel sends
 * to others, and is not counted as a listener.
 */
export class ExecWakeup implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #pollMs: number;
  #lastExecMs = -Infinity;
  #gapMs = Infinity;

  private constructor(socket: NetlinkSocket, datagrams: DatagramBatch, pollMs: number) {
    this.#pollMs = pollMs;
    this.#socket = socket;
    this.#datagrams = datagrams;
  }

  /**
   * Opens the socket.
   *
   * @param action completes "Cannot …" in the errors.
   * @param pollMs The longest wait. Execs that come closer together than this are waited for.
   */
  static open(libc: Libc, action: string, pollMs: number): ExecWakeup {
    const socket = NetlinkSocket.open(libc, action);
    try {
      socket.disableOverrunErrors();
      socket.setReceiveBuffer(RECEIVE_BUFFER_BYTES);
      socket.attachFilter(assemble(filterProgram(checkFilter({ events: ["exec"] }, action))!));
      socket.join(CN_IDX_PROC);
      return new ExecWakeup(socket, new DatagramBatch(libc, SLOTS, 4), pollMs);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** To be called after receiving execs: when they come in quick succession, waiting for the next is worth it. */
  noteExec(): void {
    const now = performance.now();
    this.#gapMs = now - this.#lastExecMs;
    this.#lastExecMs = now;
  }

  /**
   * Blocks the thread until there is an exec, at most for `pollMs`.
   *
   * @returns False if none is to be expected soon: then it does not wait.
   */
  busyPoll(): boolean {
    if (this.#gapMs > this.#pollMs) return false;
    if (this.#socket.isReadableWithin(this.#pollMs * 1e6)) this.#datagrams.receive(this.#socket.fd);
    else this.#gapMs = Infinity;
    return true;
  }

  /** Closes the socket; a second call does nothing. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
