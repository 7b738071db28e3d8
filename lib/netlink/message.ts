import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";

/** Socket and netlink constants, spelled as in include/uapi/linux and asm-generic/socket.h. */
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const NETLINK_CONNECTOR = 11;
export const NETLINK_GENERIC = 16;

export const SOL_SOCKET = 1;
export const SO_RCVBUF = 8;
export const SO_PASSCRED = 16;
/** SO_RCVTIMEO_OLD and SO_SNDTIMEO_OLD, which are the ones of a 64-bit machine. */
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_ATTACH_FILTER = 26;
export const SO_DETACH_FILTER = 27;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_MEMINFO = 55;
export const SCM_CREDENTIALS = 2;

export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
/** 2, whatever the connector's own document says (it says 0). */
export const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_LIST_MEMBERSHIPS = 9;

export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

/** `nlmsg_type` of an answer with an error number, which is 0 for an acknowledgement. */
export const NLMSG_ERROR = 2;
/** `nlmsg_type` of every connector message. */
export const NLMSG_DONE = 3;

/** `nlmsg_flags` of a request, and the wish for an acknowledgement. */
export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;

/** Byte offsets in `struct sockaddr_nl` (include/uapi/linux/netlink.h). */
export const SOCKADDR_NL = { family: 0, pad: 2, pid: 4, groups: 8, SIZE: 12 } as const;

/** The port of the kernel itself. */
export const KERNEL_PORT = 0;

/** Highest group that a netlink socket of the connector can join. */
export const MAX_GROUP = 32;

/**
 * A netlink address. `groups` is a mask with bit n-1 for group n, in an address always, while membership is asked for
 * by the number: half of the programs of this field mix the two up.
 */
export function sockaddrNl(pid: number, groups: number): Uint8Array {
  const bytes = fixedBytes(SOCKADDR_NL.SIZE);
  const view = viewOf(bytes);
  view.setUint16(SOCKADDR_NL.family, AF_NETLINK, LITTLE);
  view.setUint32(SOCKADDR_NL.pid, pid, LITTLE);
  view.setUint32(SOCKADDR_NL.groups, groups, LITTLE);
  return bytes;
}

/** The mask of one group, or 0 for group 0. */
export function groupMask(group: number): number {
  return group === 0 ? 0 : (1 << (group - 1)) >>> 0;
}

/** The numbers of the groups in a mask. */
export function groupsOf(mask: number): number[] {
  return Array.from({ length: MAX_GROUP }, (_, i) => i + 1).filter((group) =>
    (mask & groupMask(group)) !== 0
  );
}

/** The lowest group in a mask, or 0 for none. */
export function lowestGroup(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.clz32(mask & -mask);
}

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

/** Writes a `struct nlmsghdr` at `at` and answers where the payload begins. */
export function encodeNlmsghdrInto(view: DataView, at: number, header: Nlmsghdr): number {
  view.setUint32(at + NLMSGHDR.len, header.len, LITTLE);
  view.setUint16(at + NLMSGHDR.type, header.type, LITTLE);
  view.setUint16(at + NLMSGHDR.flags, header.flags, LITTLE);
  view.setUint32(at + NLMSGHDR.seq, header.seq, LITTLE);
  view.setUint32(at + NLMSGHDR.pid, header.pid, LITTLE);
  return at + NLMSGHDR.SIZE;
}
