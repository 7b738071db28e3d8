import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import type { DatagramBatch } from "./datagram_batch.ts";
import type { NetlinkSocket } from "./socket.ts";

/** How many failures in a row that a next try may not have are taken for an empty queue. */
const MAX_TRIES = 100;

/**
 * Receives what is queued in a socket into the batch, without waiting.
 *
 * @param action completes "Cannot …" in the error.
 * @returns How many datagrams, 0 if none is queued.
 * @throws {SyscallError} If the socket cannot be read.
 */
export function receiveQueued(socket: NetlinkSocket, datagrams: DatagramBatch, action: string): number {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    let count = datagrams.receive(socket.fd);
    // recvmmsg reports an overrun without ending the socket's congestion; a recvfrom ends it.
    if (count === -ERRNO.ENOBUFS!) count = datagrams.receiveOne(socket.fd);
    if (count >= 0) return count;
    if (count === -ERRNO.EAGAIN!) return 0;
    // EINTR: a signal; ENOBUFS and ENOMEM: counted by the kernel as drops, and the next try may succeed.
    if (count === -ERRNO.EINTR! || count === -ERRNO.ENOBUFS! || count === -ERRNO.ENOMEM!) continue;
    throw new SyscallError(action, "recvmmsg", -count);
  }
  return 0;
}
