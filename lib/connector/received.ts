import { KERNEL_PORT, lowestGroup } from "../netlink/address.ts";
import type { Credentials, DatagramBatch } from "../netlink/datagram_batch.ts";
import type { CnMsg } from "./message.ts";

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
