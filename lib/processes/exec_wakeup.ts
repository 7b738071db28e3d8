import type { Libc } from "../../ffi/libc.ts";
import { CN_IDX_PROC } from "../connector/message.ts";
import { assemble } from "../netlink/bpf.ts";
import { DatagramBatch } from "../netlink/datagram_batch.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { checkFilter } from "./event_filter.ts";
import { filterProgram } from "./bpf_filter.ts";

/** So many rings are answered at once; a buffer of this many bytes has room for some more. */
const SLOTS = 16;
const RECEIVE_BUFFER_BYTES = 16_384;
/** Where execs come closer together than this, waiting for the next in the kernel costs less than a wake-up. */
const BUSY_POLL_MS = 2;

/**
 * Rings for an exec, and for nothing else. What /proc says of a new program is soon gone, so an exec is worth a wake-up
 * of its own; the forks and exits around it are not, and can be fetched together with it.
 *
 * It is a second socket in the group with a filter of its own. It subscribes to nothing: it hears what the kernel sends
 * to others, and is no listener in the kernel's count.
 */
export class ExecWakeup implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  #heardAt = -Infinity;
  #gapMs = Infinity;

  private constructor(socket: NetlinkSocket, datagrams: DatagramBatch) {
    this.#socket = socket;
    this.#datagrams = datagrams;
  }

  /** Hangs it up. `action` completes "Cannot …" in the errors. */
  static open(libc: Libc, action: string): ExecWakeup {
    const socket = NetlinkSocket.open(libc, action);
    try {
      socket.disableOverrunErrors();
      socket.setReceiveBuffer(RECEIVE_BUFFER_BYTES);
      socket.attachFilter(assemble(filterProgram(checkFilter({ events: ["exec"] }, action))!));
      socket.join(CN_IDX_PROC);
      return new ExecWakeup(socket, new DatagramBatch(libc, SLOTS, 4));
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** To be told of every exec that was received: programs that start in quick succession make waiting for them worth it. */
  heard(): void {
    const now = performance.now();
    this.#gapMs = now - this.#heardAt;
    this.#heardAt = now;
  }

  /**
   * Sits in the kernel until there is an exec, for a moment at most.
   *
   * @returns False where none is to be expected soon: then it does not wait.
   */
  busyPoll(): boolean {
    if (this.#gapMs > BUSY_POLL_MS) return false;
    if (this.#socket.isReadableWithin(BUSY_POLL_MS * 1e6)) this.#datagrams.receive(this.#socket.fd);
    else this.#gapMs = Infinity;
    return true;
  }

  /** Takes it down; a second call does nothing. */
  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
