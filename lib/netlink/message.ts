import { DecodeError } from "../errors/decode_error.ts";
import { LITTLE } from "../wire/bytes.ts";

/** Byte offsets in `struct nlmsghdr` (include/uapi/linux/netlink.h); SIZE is where the payload begins. */
export const NLMSGHDR = { len: 0, type: 4, flags: 6, seq: 8, pid: 12, SIZE: 16 } as const;

/** Where the next message of a datagram begins after one of `length` bytes: NLMSG_ALIGN. */
export function nlmsgAlign(length: number): number {
  return (length + 3) & ~3;
}

/**
 * A netlink message header, `struct nlmsghdr` in include/uapi/linux/netlink.h. `pid` is what the sender wrote there:
 * it proves nothing.
 */
export interface Nlmsghdr {
  /** `nlmsg_len`: bytes of the message, this header included. */
  readonly len: number;
  /** `nlmsg_type`: 3 (NLMSG_DONE) in the connector. */
  readonly type: number;
  /** `nlmsg_flags`. */
  readonly flags: number;
  /** `nlmsg_seq`. */
  readonly seq: number;
  /** `nlmsg_pid`, forgeable. */
  readonly pid: number;
}

/**
 * Reads a `struct nlmsghdr` at `at`. The message it announces lies within `end`, or a {@linkcode DecodeError} is thrown.
 */
export function decodeNlmsghdr(view: DataView, at: number, end: number): Nlmsghdr {
  if (end - at < NLMSGHDR.SIZE) throw new DecodeError("nlmsghdr", NLMSGHDR.SIZE, end - at);
  const len = view.getUint32(at + NLMSGHDR.len, LITTLE);
  if (len < NLMSGHDR.SIZE) throw new DecodeError("nlmsghdr.nlmsg_len", NLMSGHDR.SIZE, len);
  if (len > end - at) throw new DecodeError("netlink message", len, end - at);
  return {
    len,
    type: view.getUint16(at + NLMSGHDR.type, LITTLE),
    flags: view.getUint16(at + NLMSGHDR.flags, LITTLE),
    seq: view.getUint32(at + NLMSGHDR.seq, LITTLE),
    pid: view.getUint32(at + NLMSGHDR.pid, LITTLE),
  };
}

/** Writes a `struct nlmsghdr` at `at` and answers where the payload begins. */
export function encodeNlmsghdrInto(view: DataView, at: number, header: Nlmsghdr): number {
  view.setUint32(at + NLMSGHDR.len, header.len, LITTLE);
  view.setUint16(at + NLMSGHDR.type, header.type, LITTLE);
  view.setUint16(at + NLMSGHDR.flags, header.flags, LITTLE);
  view.setUint32(at + NLMSGHDR.seq, header.seq, LITTLE);
  view.setUint32(at + NLMSGHDR.pid, header.pid, LITTLE);
  return at + NLMSGHDR.SIZE;
}
