import { KERNEL_PORT, lowestGroup } from "../netlink/message.ts";
import type { Credentials, DatagramBatch } from "../netlink/datagram_batch.ts";
import { type CbId, CN_NETLINK_USERS, type CnMsg } from "./message.ts";

/** Who sent a message, as the kernel reports it: nothing is taken from the message itself. */
export interface Sender {
  /** The port: 0 is the kernel, and no program can have it. */
  readonly port: number;
  /** The group that the message was sent to, 0 if it was sent to us alone. */
  readonly group: number;
  /** The sender's process and user, if the connector was opened with `credentials: true`. All 0 for the kernel. */
  readonly credentials: Credentials | undefined;
}

/** A message with its sender. Its `data` is a copy of its own. */
export interface ReceivedMessage extends CnMsg {
  /** Distinguishes it from a `lost` event in the same stream. */
  readonly type: "message";
  /** Who sent it. */
  readonly from: Sender;
}

/** The sender of datagram `i`. */
export function senderOf(datagrams: DatagramBatch, i: number): Sender {
  return {
    port: datagrams.senderPort(i),
    group: lowestGroup(datagrams.senderGroups(i)),
    credentials: datagrams.credentials(i),
  };
}

/**
 * Whose messages to accept: only the kernel's, anyone's, or those that a function says. Other messages are counted, and
 * reach no callback, no request and no stream.
 */
export type TrustPolicy = "kernel" | "anyone" | ((sender: Sender, id: CbId) => boolean);

/**
 * Whether a message is accepted. Without a policy, identifiers that the kernel serves belong to it, and so do the
 * numbers that are reserved for its drivers: what a program sends there is forged, or a reply to the wrong address.
 */
export function isTrusted(
  policy: TrustPolicy | undefined,
  sender: Sender,
  id: CbId,
  kernelServes: (id: CbId) => boolean,
): boolean {
  if (typeof policy === "function") return policy(sender, id);
  if (sender.port === KERNEL_PORT || policy === "anyone") return true;
  if (policy === "kernel") return false;
  return !(id.idx < CN_NETLINK_USERS || kernelServes(id));
}
