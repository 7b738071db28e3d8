import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { AF_NETLINK } from "./constants.ts";

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

/** The lowest group in a mask, or 0 for none. */
export function lowestGroup(mask: number): number {
  return mask === 0 ? 0 : 32 - Math.clz32(mask & -mask);
}
