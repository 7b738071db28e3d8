import { DecodeError } from "../../lib/errors/decode_error.ts";
import { NLMSGHDR, type Nlmsghdr } from "../../lib/netlink/message.ts";
import { LITTLE } from "../../lib/wire/bytes.ts";

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
