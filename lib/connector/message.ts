import { checkBytes, checkObject, checkRange, checkU16, checkU32 } from "../errors/arguments.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { encodeNlmsghdrInto, NLMSG_DONE, nlmsgAlign, NLMSGHDR } from "../netlink/message.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";

/** The identifier of process events, spelled as in include/uapi/linux/connector.h. */
export const CN_IDX_PROC = 0x1;
export const CN_VAL_PROC = 0x1;

/** An `idx` below this number is reserved for drivers in the kernel. */
export const CN_NETLINK_USERS = 11;

/** The connector's own identifier {-1, -1}, to which requests for notification are sent. */
export const CN_IDX_CONNECTOR = 0xffff_ffff;
export const CN_VAL_CONNECTOR = 0xffff_ffff;

/** An identifier as people and /proc/net/connector write it: `"20:1"`. */
export function idText(id: CbId): string {
  return `${id.idx}:${id.val}`;
}

/** Whether two identifiers are the same. */
export function sameId(a: CbId, b: CbId): boolean {
  return a.idx === b.idx && a.val === b.val;
}

/** Checks an identifier. */
export function checkId(id: unknown, name: string, action: string): void {
  checkObject(id, name, action);
  const { idx, val } = id as CbId;
  checkU32(idx, `${name}.idx`, action);
  checkU32(val, `${name}.val`, action);
}

/** Byte offsets in `struct cn_msg` (include/uapi/linux/connector.h); SIZE is where `data[]` begins. */
export const CN_MSG = { idx: 0, val: 4, seq: 8, ack: 12, len: 16, flags: 18, SIZE: 20 } as const;

/**
 * A connector identifier, `struct cb_id` in include/uapi/linux/connector.h. Both numbers are unsigned, 32 bits. The
 * netlink group of an identifier is its `idx`.
 */
export interface CbId {
  /** The protocol, and its netlink group. */
  readonly idx: number;
  /** A second number, which each protocol defines for itself. */
  readonly val: number;
}

/** The header of a connector message, `struct cn_msg` in include/uapi/linux/connector.h. */
export interface CnMsgHeader {
  /** The identifier. */
  readonly id: CbId;
  /** Sequence number. */
  readonly seq: number;
  /** Acknowledge number. */
  readonly ack: number;
  /** Flags, which each protocol defines for itself. */
  readonly flags: number;
}

/** A connector message: its header and its payload. */
export interface CnMsg extends CnMsgHeader {
  /** The payload. A decoded one is a view of the bytes that it was decoded from: copy it to keep it. */
  readonly data: Uint8Array;
}

/**
 * Largest payload of a message: `len` has 16 bits. There is no lower limit for what the kernel sends, nor between
 * programs.
 */
export const MAX_DATA_BYTES = 0xffff;

/**
 * Largest payload that the kernel accepts: at most CONNECTOR_MAX_MSG_SIZE bytes follow the netlink header, and the
 * header of the message is part of these. It silently drops larger ones.
 */
export const MAX_DATA_TO_KERNEL: number = 16384 - CN_MSG.SIZE;

/** Largest datagram. That also holds for several messages: those that the kernel sends together share one 16-bit length. */
export const MAX_DATAGRAM_BYTES: number = datagramBytes(MAX_DATA_BYTES);

/**
 * Reads a `struct cn_msg` at `at`.
 *
 * @returns The message; its `data` is a view of the same bytes, valid as long as they are. The next message of the same
 * datagram, if any, begins at `at + 20 + data.length`, without padding.
 * @throws {DecodeError} If the bytes up to `end` are shorter than the header, or than its `len`.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeCnMsg, encodeCnMsg } from "kernel-connector/codec";
 *
 * const bytes = encodeCnMsg({ id: { idx: 12, val: 1 }, seq: 7, ack: 99, flags: 0, data: new Uint8Array([1, 2]) });
 * const message = decodeCnMsg(new DataView(bytes.buffer), 0, bytes.length);
 * assert.equal(message.seq, 7);
 * assert.deepEqual([...message.data], [1, 2]);
 * ```
 */
export function decodeCnMsg(view: DataView, at: number, end: number): CnMsg {
  checkRange(view, at, end, "decode cn_msg");
  if (end - at < CN_MSG.SIZE) throw new DecodeError("cn_msg", CN_MSG.SIZE, end - at);
  const length = view.getUint16(at + CN_MSG.len, LITTLE);
  const dataAt = at + CN_MSG.SIZE;
  if (length > end - dataAt) throw new DecodeError("cn_msg.data", length, end - dataAt);
  return {
    id: { idx: view.getUint32(at + CN_MSG.idx, LITTLE), val: view.getUint32(at + CN_MSG.val, LITTLE) },
    seq: view.getUint32(at + CN_MSG.seq, LITTLE),
    ack: view.getUint32(at + CN_MSG.ack, LITTLE),
    flags: view.getUint16(at + CN_MSG.flags, LITTLE),
    data: new Uint8Array(view.buffer, view.byteOffset + dataAt, length),
  };
}

/**
 * Reads every `struct cn_msg` in `[at, end)`: the kernel's 1-wire driver sends several in one netlink message.
 *
 * @throws {DecodeError} As {@linkcode decodeCnMsg}; fewer than 20 bytes after the last message are padding.
 */
export function decodeCnMsgs(view: DataView, at: number, end: number): CnMsg[] {
  checkRange(view, at, end, "decode cn_msg");
  const messages: CnMsg[] = [];
  let next = at;
  do {
    const message = decodeCnMsg(view, next, end);
    messages.push(message);
    next += CN_MSG.SIZE + message.data.length;
  } while (end - next >= CN_MSG.SIZE);
  return messages;
}

/**
 * Whether a message is the empty header of zeros that some drivers send by mistake, as the 1-wire driver does before
 * its reply to a reset or to an unknown command (5.10 to 7.2). It means nothing.
 */
export function isStray({ id, seq, ack, flags, data }: CnMsg): boolean {
  return id.idx === 0 && id.val === 0 && seq === 0 && ack === 0 && flags === 0 && data.length === 0;
}

/**
 * Writes a `struct cn_msg` with its payload at `at`, and returns where the next one would begin.
 *
 * @throws {RangeError} If the payload has more than 65535 bytes.
 */
export function encodeCnMsgInto(out: Uint8Array, at: number, message: CnMsg): number {
  const { length } = message.data;
  if (length > MAX_DATA_BYTES) {
    throw new RangeError(`Cannot encode cn_msg: its length has 16 bits, and the payload ${length} bytes`);
  }
  const view = viewOf(out);
  view.setUint32(at + CN_MSG.idx, message.id.idx, LITTLE);
  view.setUint32(at + CN_MSG.val, message.id.val, LITTLE);
  view.setUint32(at + CN_MSG.seq, message.seq, LITTLE);
  view.setUint32(at + CN_MSG.ack, message.ack, LITTLE);
  view.setUint16(at + CN_MSG.len, message.data.length, LITTLE);
  view.setUint16(at + CN_MSG.flags, message.flags, LITTLE);
  out.set(message.data, at + CN_MSG.SIZE);
  return at + CN_MSG.SIZE + message.data.length;
}

/**
 * The bytes of one `struct cn_msg`, without a netlink header.
 *
 * @throws {RangeError} If the payload has more than 65535 bytes.
 */
export function encodeCnMsg(message: CnMsg): Uint8Array {
  const action = "encode cn_msg";
  checkObject(message, "message", action);
  checkId(message.id, "message.id", action);
  checkU32(message.seq, "message.seq", action);
  checkU32(message.ack, "message.ack", action);
  checkU16(message.flags, "message.flags", action);
  checkBytes(message.data, "message.data", action);
  const out = fixedBytes(CN_MSG.SIZE + message.data.length);
  encodeCnMsgInto(out, 0, message);
  return out;
}

/** The length of a message's datagram: netlink header and connector message, padded to 4 bytes as netlink requires. */
export function datagramBytes(dataBytes: number): number {
  return nlmsgAlign(NLMSGHDR.SIZE + CN_MSG.SIZE + dataBytes);
}

/** Writes a whole datagram to the beginning of `out`, the padding included. */
export function encodeDatagramInto(out: Uint8Array, message: CnMsg): void {
  const len = NLMSGHDR.SIZE + CN_MSG.SIZE + message.data.length;
  const at = encodeNlmsghdrInto(viewOf(out), 0, {
    len,
    type: NLMSG_DONE,
    flags: 0,
    seq: message.seq,
    pid: 0,
  });
  encodeCnMsgInto(out, at, message);
  out.fill(0, len, datagramBytes(message.data.length));
}

/** A whole datagram: netlink header and one connector message, padded to 4 bytes as netlink requires. */
export function encodeDatagram(message: CnMsg): Uint8Array {
  const out = fixedBytes(datagramBytes(message.data.length));
  encodeDatagramInto(out, message);
  return out;
}
