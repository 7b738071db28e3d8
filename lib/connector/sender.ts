import { KERNEL_PORT, lowestGroup } from "../netlink/address.ts";
import type { Credentials, DatagramBatch } from "../netlink/datagram_batch.ts";
import { type CbId, CN_NETLINK_USERS, type CnMsg } from "./message.ts";

/** Who sent a message, as the kernel says: nothing of it is taken from the message itself. */
export interface Sender {
  /** The port: 0 is the kernel, and no program can have it. */
  readonly port: number;
  /** The group that the message was sent to, 0 where it was sent to us alone. */
  readonly group: number;
  /** The sender's process and user, where the connector was opened with `credentials: true`. All 0 for the kernel. */
  readonly credentials: Credentials | undefined;
}

/** A message with its sender. Its `data` are its own: they stay what they are. */
export interface ReceivedMessage extends CnMsg {
  /** Tells it from a `lost` event in the same stream. */
  readonly type: "message";
  /** Who sent it. */
  readonly from: Sender;
}

/** Messages were lost, at about this place of the stream. */
export interface LostMessages {
  /** Tells it from a message in the same stream. */
  readonly type: "lost";
  /** How many. */
  readonly count: number;
  /**
   * `"kernel"`: the socket's receive buffer was full, and whatever came was dropped, replies too. `"reader"`: this
   * iteration was too slow while callbacks or conversations of the same connector needed the socket to be read.
   */
  readonly where: "kernel" | "reader";
}

/** Whether it was the kernel that sent. */
export function fromKernel(sender: Sender): boolean {
  return sender.port === KERNEL_PORT;
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
 * Whom to believe: `"kernel"` only, `"anyone"`, or whom a function says. What is not believed is counted and reaches
 * nobody: no callback, no conversation, no stream.
 */
export type TrustPolicy = "kernel" | "anyone" | ((sender: Sender, id: CbId) => boolean);

/**
 * The judgement on one message. Without a policy of the caller's, identifiers that the kernel serves belong to it, and so do
 * the numbers that are given out to its drivers: there a program that sends is a forger, or an answer gone astray.
 */
export function isTrusted(
  belief: TrustPolicy | undefined,
  sender: Sender,
  id: CbId,
  kernelServes: (id: CbId) => boolean,
): boolean {
  if (typeof belief === "function") return belief(sender, id);
  if (fromKernel(sender) || belief === "anyone") return true;
  if (belief === "kernel") return false;
  return !(id.idx < CN_NETLINK_USERS || kernelServes(id));
}
