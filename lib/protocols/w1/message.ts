import { checkBytes, checkString } from "../../errors/arguments.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import {
  W1_MASTER_ADD,
  W1_MASTER_CMD,
  W1_MASTER_REMOVE,
  W1_SLAVE_ADD,
  W1_SLAVE_CMD,
  W1_SLAVE_REMOVE,
} from "./constants.ts";

/**
 * Byte offsets in `struct w1_netlink_msg` (drivers/w1/w1_netlink.h); SIZE is where `data[]` begins. `id` is a union:
 * the eight bytes of a slave, or `mst_id` and `mst_res`.
 */
export const W1_NETLINK_MSG = { type: 0, status: 1, len: 2, id: 4, mst_id: 4, mst_res: 8, SIZE: 12 } as const;

/** Byte offsets in `struct w1_netlink_cmd` (drivers/w1/w1_netlink.h); SIZE is where `data[]` begins. */
export const W1_NETLINK_CMD = { cmd: 0, res: 1, len: 2, SIZE: 4 } as const;

/** Bytes of `struct w1_reg_num`: family, six bytes of serial number, CRC. */
export const W1_REG_NUM_BYTES = 8;

/** The largest `len` of a 16-bit length field. */
const MAX_LEN = 0xffff;

/** A message of the 1-wire protocol, `struct w1_netlink_msg`. A connector message carries one or more. */
export interface W1NetlinkMsg {
  /** `W1_SLAVE_ADD` to `W1_LIST_MASTERS`, or a number that this version does not know. */
  readonly type: number;
  /** 0, or the errno of the refusal. 255 for a reset that no slave answered. */
  readonly status: number;
  /** The eight bytes of `id`: a slave's number ({@linkcode formatSlaveId}) or a master's ({@linkcode masterIdOf}). */
  readonly id: Uint8Array;
  /** Commands, or numbers of masters. A view of the decoded bytes. */
  readonly data: Uint8Array;
}

/** A command to a bus or a slave, or its reply, `struct w1_netlink_cmd`. */
export interface W1NetlinkCmd {
  /** `W1_CMD_READ` to `W1_CMD_LIST_SLAVES`, or a number that this version does not know. */
  readonly cmd: number;
  /** Reserved; the kernel's replies repeat it. */
  readonly res: number;
  /** What to write, room for what to read, or what was read. A view of the decoded bytes. */
  readonly data: Uint8Array;
}

/** A change on a bus, sent to group 3. */
export type W1Event =
  /** A slave was added or removed. `slave` is its name in sysfs. */
  | { readonly type: "slave_add" | "slave_remove"; readonly slave: string }
  /** A bus master was added or removed. */
  | { readonly type: "master_add" | "master_remove"; readonly master: number };

/**
 * Reads every `struct w1_netlink_msg` in `data`, the payload of one connector message.
 *
 * @throws {DecodeError} When one is shorter than its header, or than its `len`.
 */
export function decodeW1Messages(data: Uint8Array): W1NetlinkMsg[] {
  const view = viewOf(data);
  const messages: W1NetlinkMsg[] = [];
  for (let at = 0; at < data.length;) {
    const room = data.length - at;
    if (room < W1_NETLINK_MSG.SIZE) throw new DecodeError("w1_netlink_msg", W1_NETLINK_MSG.SIZE, room);
    const length = view.getUint16(at + W1_NETLINK_MSG.len, LITTLE);
    const dataAt = at + W1_NETLINK_MSG.SIZE;
    if (length > data.length - dataAt) {
      throw new DecodeError("w1_netlink_msg.data", length, data.length - dataAt);
    }
    messages.push({
      type: view.getUint8(at + W1_NETLINK_MSG.type),
      status: view.getUint8(at + W1_NETLINK_MSG.status),
      id: data.subarray(at + W1_NETLINK_MSG.id, dataAt),
      data: data.subarray(dataAt, dataAt + length),
    });
    at = dataAt + length;
  }
  return messages;
}

/**
 * Reads every `struct w1_netlink_cmd` in the data of a `W1_MASTER_CMD` or `W1_SLAVE_CMD` message.
 *
 * @throws {DecodeError} When one is shorter than its header, or than its `len`.
 */
export function decodeW1Commands(data: Uint8Array): W1NetlinkCmd[] {
  const view = viewOf(data);
  const commands: W1NetlinkCmd[] = [];
  for (let at = 0; at < data.length;) {
    const room = data.length - at;
    if (room < W1_NETLINK_CMD.SIZE) throw new DecodeError("w1_netlink_cmd", W1_NETLINK_CMD.SIZE, room);
    const length = view.getUint16(at + W1_NETLINK_CMD.len, LITTLE);
    const dataAt = at + W1_NETLINK_CMD.SIZE;
    if (length > data.length - dataAt) {
      throw new DecodeError("w1_netlink_cmd.data", length, data.length - dataAt);
    }
    commands.push({
      cmd: view.getUint8(at + W1_NETLINK_CMD.cmd),
      res: view.getUint8(at + W1_NETLINK_CMD.res),
      data: data.subarray(dataAt, dataAt + length),
    });
    at = dataAt + length;
  }
  return commands;
}

/**
 * Reads the numbers of bus masters in the data of a `W1_LIST_MASTERS` reply, 32 bits each.
 *
 * @throws {DecodeError} When the length is not a multiple of 4.
 */
export function decodeMasterIds(data: Uint8Array): number[] {
  if (data.length % 4 !== 0) throw new DecodeError("list of masters", (data.length + 3) & ~3, data.length);
  const view = viewOf(data);
  return Array.from({ length: data.length / 4 }, (_, i) => view.getUint32(4 * i, LITTLE));
}

/**
 * Reads the slaves in the data of a search's reply, eight bytes each, as names in sysfs.
 *
 * @throws {DecodeError} When the length is not a multiple of 8.
 */
export function decodeSlaveIds(data: Uint8Array): string[] {
  const whole = Math.ceil(data.length / W1_REG_NUM_BYTES) * W1_REG_NUM_BYTES;
  if (data.length !== whole) throw new DecodeError("list of w1_reg_num", whole, data.length);
  const slaves: string[] = [];
  for (let at = 0; at < data.length; at += W1_REG_NUM_BYTES) {
    slaves.push(formatSlaveId(data.subarray(at, at + W1_REG_NUM_BYTES)));
  }
  return slaves;
}

/** The event in a message of type 0 to 3; undefined for other types. */
export function decodeW1Event(message: W1NetlinkMsg): W1Event | undefined {
  switch (message.type) {
    case W1_SLAVE_ADD:
      return { type: "slave_add", slave: formatSlaveId(message.id) };
    case W1_SLAVE_REMOVE:
      return { type: "slave_remove", slave: formatSlaveId(message.id) };
    case W1_MASTER_ADD:
      return { type: "master_add", master: masterIdOf(message) };
    case W1_MASTER_REMOVE:
      return { type: "master_remove", master: masterIdOf(message) };
    default:
      return undefined;
  }
}

/** The number of the bus master in `id`. */
export function masterIdOf(message: W1NetlinkMsg): number {
  return viewOf(message.id).getUint32(W1_NETLINK_MSG.mst_id - W1_NETLINK_MSG.id, LITTLE);
}

/** The eight bytes of `id` that name a bus master. */
export function masterIdBytes(master: number): Uint8Array {
  const id = fixedBytes(W1_REG_NUM_BYTES);
  viewOf(id).setUint32(W1_NETLINK_MSG.mst_id - W1_NETLINK_MSG.id, master, LITTLE);
  return id;
}

/**
 * The payload of a connector message: messages one after another, without padding.
 *
 * @throws {RangeError} When the data of one is longer than 65535 bytes, or its `id` is not eight bytes.
 */
export function encodeW1Messages(messages: readonly W1NetlinkMsg[]): Uint8Array {
  const out = fixedBytes(
    messages.reduce((sum, message) => sum + W1_NETLINK_MSG.SIZE + message.data.length, 0),
  );
  const view = viewOf(out);
  let at = 0;
  for (const { type, status, id, data } of messages) {
    if (id.length !== W1_REG_NUM_BYTES) {
      throw new RangeError(
        `Cannot encode w1_netlink_msg.id: needs ${W1_REG_NUM_BYTES} bytes, got ${id.length}`,
      );
    }
    checkLength("w1_netlink_msg.data", data);
    view.setUint8(at + W1_NETLINK_MSG.type, type);
    view.setUint8(at + W1_NETLINK_MSG.status, status);
    view.setUint16(at + W1_NETLINK_MSG.len, data.length, LITTLE);
    out.set(id, at + W1_NETLINK_MSG.id);
    out.set(data, at + W1_NETLINK_MSG.SIZE);
    at += W1_NETLINK_MSG.SIZE + data.length;
  }
  return out;
}

/**
 * The data of a `W1_MASTER_CMD` or `W1_SLAVE_CMD` message: commands one after another, without padding.
 *
 * @throws {RangeError} When the data of one is longer than 65535 bytes.
 */
export function encodeW1Commands(commands: readonly W1NetlinkCmd[]): Uint8Array {
  const out = fixedBytes(
    commands.reduce((sum, command) => sum + W1_NETLINK_CMD.SIZE + command.data.length, 0),
  );
  const view = viewOf(out);
  let at = 0;
  for (const { cmd, res, data } of commands) {
    checkLength("w1_netlink_cmd.data", data);
    view.setUint8(at + W1_NETLINK_CMD.cmd, cmd);
    view.setUint8(at + W1_NETLINK_CMD.res, res);
    view.setUint16(at + W1_NETLINK_CMD.len, data.length, LITTLE);
    out.set(data, at + W1_NETLINK_CMD.SIZE);
    at += W1_NETLINK_CMD.SIZE + data.length;
  }
  return out;
}

/** Whether the data of a message is a list of commands. */
export function holdsCommands(message: W1NetlinkMsg): boolean {
  return message.type === W1_MASTER_CMD || message.type === W1_SLAVE_CMD;
}

/**
 * The CRC at the end of every 1-wire number and scratchpad (polynomial x⁸+x⁵+x⁴+1, reflected, initial value 0). For
 * bytes that end with their own CRC the result is 0.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { crc8 } from "kernel-connector/w1";
 *
 * assert.equal(crc8(new Uint8Array([0x28, 0x01, 0xbe, 0xad, 0xde, 0, 0])), 0x1d);
 * ```
 */
export function crc8(bytes: Uint8Array): number {
  checkBytes(bytes, "bytes", "compute a CRC");
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >> 1 : (crc >> 1) ^ 0x8c;
  }
  return crc;
}

/** Whether the last of the eight bytes of a slave's number is the CRC of the seven before it. */
export function isValidSlaveId(id: Uint8Array): boolean {
  return id.length === W1_REG_NUM_BYTES && crc8(id) === 0;
}

/**
 * A slave's name in sysfs, `"28-0000deadbe01"`: family, then the serial number, most significant byte first, without
 * the CRC.
 *
 * @throws {DecodeError} When `id` is not eight bytes.
 */
export function formatSlaveId(id: Uint8Array): string {
  if (id.length !== W1_REG_NUM_BYTES) throw new DecodeError("w1_reg_num", W1_REG_NUM_BYTES, id.length);
  let serial = "";
  for (let i = 6; i >= 1; i--) serial += hexByte(id[i]!);
  return `${hexByte(id[0]!)}-${serial}`;
}

/**
 * The eight bytes of a slave's number, with its CRC, from its name in sysfs.
 *
 * @throws {TypeError} When the text is not of the form `"28-0000deadbe01"`.
 */
export function parseSlaveId(text: string): Uint8Array {
  checkString(text, "slave", "address a 1-wire slave");
  if (!/^[0-9a-f]{2}-[0-9a-f]{12}$/i.test(text)) {
    throw new TypeError(
      `Cannot read ${JSON.stringify(text)} as a 1-wire slave: it must look like 28-0000deadbe01`,
    );
  }
  const id = fixedBytes(W1_REG_NUM_BYTES);
  id[0] = Number.parseInt(text.slice(0, 2), 16);
  for (let i = 1; i <= 6; i++) id[7 - i] = Number.parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  id[7] = crc8(id.subarray(0, 7));
  return id;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function checkLength(structure: string, data: Uint8Array): void {
  if (data.length > MAX_LEN) {
    throw new RangeError(`Cannot encode ${structure}: ${data.length} bytes do not fit a 16-bit length`);
  }
}
