import { KERNEL_PORT, NLMSG_DONE, nlmsgAlign, NLMSGHDR } from "../netlink/message.ts";
import type { DatagramBatch } from "../netlink/datagram_batch.ts";
import { LITTLE } from "../wire/bytes.ts";
import { CN_MSG } from "./message.ts";

/**
 * Called with each connector message of a datagram: `struct cn_msg` at `at`, its payload from `at + CN_MSG.SIZE` up to
 * `end`. A socket filter has seen only the first message of a datagram.
 */
export type CnMsgVisitor = (at: number, end: number, isFirst: boolean) => void;

/**
 * Finds the connector messages in datagram `i` of a batch: netlink messages, and in each of them one `struct cn_msg` or,
 * from the kernel's 1-wire driver, several. Allocates nothing.
 *
 * @returns How many netlink or connector messages were malformed: truncated, with lengths that do not fit, or not the
 * connector's. From the kernel the connector's are of type NLMSG_DONE. Of a program's datagram only the first netlink
 * message counts, whatever its type: the kernel reads what programs send in the same way.
 */
export function visitCnMsgs(datagrams: DatagramBatch, i: number, visit: CnMsgVisitor): number {
  if (datagrams.truncated(i)) return 1;
  const { view } = datagrams;
  const start = datagrams.at(i);
  const end = datagrams.end(i);
  const isFromKernel = datagrams.senderPort(i) === KERNEL_PORT;
  let malformed = 0;
  let at = start;
  do {
    if (end - at < NLMSGHDR.SIZE) return malformed + 1;
    const length = view.getUint32(at + NLMSGHDR.len, LITTLE);
    if (length < NLMSGHDR.SIZE || length > end - at) return malformed + 1;
    const isConnectors = isFromKernel
      ? view.getUint16(at + NLMSGHDR.type, LITTLE) === NLMSG_DONE
      : at === start;
    if (!isConnectors || !visitPayload(view, at + NLMSGHDR.SIZE, at + length, at === start, visit)) {
      malformed++;
    }
    at += nlmsgAlign(length);
  } while (end - at >= NLMSGHDR.SIZE);
  return malformed;
}

/** The messages in one netlink message's payload. False where one does not fit, which ends the payload. */
function visitPayload(
  view: DataView,
  start: number,
  end: number,
  isFirst: boolean,
  visit: CnMsgVisitor,
): boolean {
  let at = start;
  do {
    if (end - at < CN_MSG.SIZE) return false;
    const next = at + CN_MSG.SIZE + view.getUint16(at + CN_MSG.len, LITTLE);
    if (next > end) return false;
    visit(at, next, isFirst && at === start);
    at = next;
  } while (end - at >= CN_MSG.SIZE); // fewer bytes are padding
  return true;
}
