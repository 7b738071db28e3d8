import { DecodeError } from "../../errors/decode_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import {
  HV_KVP_EXCHANGE_MAX_KEY_SIZE,
  HV_KVP_EXCHANGE_MAX_VALUE_SIZE,
  KVP_OP_DELETE,
  KVP_OP_ENUMERATE,
  KVP_OP_GET,
  KVP_OP_GET_IP_INFO,
  KVP_OP_REGISTER1,
  KVP_OP_SET,
  KVP_OP_SET_IP_INFO,
  REG_SZ,
  VSS_NAMES,
  VSS_OP_REGISTER,
  VSS_OP_REGISTER1,
  type VssOperationName,
} from "./constants.ts";
import {
  HV_KVP_EXCHG_MSG_VALUE,
  HV_KVP_IPADDR_VALUE,
  HV_KVP_MSG,
  HV_KVP_MSG_DELETE,
  HV_KVP_MSG_ENUMERATE,
  HV_KVP_REGISTER,
  HV_VSS_MSG,
} from "./layout.ts";

/** Addresses of a network adapter, `struct hv_kvp_ipaddr_value`. Several addresses are separated by ";". */
export interface KvpIpInfo {
  /** The adapter, a GUID in braces. */
  readonly adapterId: string;
  /** A mask: 1 IPv4, 2 IPv6. */
  readonly addrFamily: number;
  /** Whether it uses DHCP. */
  readonly dhcpEnabled: boolean;
  /** Its addresses. */
  readonly ipAddr: string;
  /** Their netmasks or prefix lengths. */
  readonly subNet: string;
  /** Its gateways. */
  readonly gateWay: string;
  /** Its name servers. */
  readonly dnsAddr: string;
}

/** A request of the kernel to a KVP daemon, `struct hv_kvp_msg`, by `type`. */
export type KvpRequest =
  /** The reply to a registration: the version of the driver. */
  | { readonly type: "register"; readonly operation: number; readonly version: string }
  /** The value of a key. */
  | { readonly type: "get"; readonly pool: number; readonly key: string }
  /** Sets a value; numbers are decimal text. */
  | { readonly type: "set"; readonly pool: number; readonly key: string; readonly value: string }
  | { readonly type: "delete"; readonly pool: number; readonly key: string }
  /** Key and value at an index; HV_S_CONT means that there are no more. */
  | { readonly type: "enumerate"; readonly pool: number; readonly index: number }
  /** The addresses of an adapter. Only `adapterId` and `addrFamily` are set. */
  | { readonly type: "get_ip_info"; readonly pool: number; readonly info: KvpIpInfo }
  | { readonly type: "set_ip_info"; readonly pool: number; readonly info: KvpIpInfo }
  /** An unknown operation. */
  | { readonly type: "unknown"; readonly operation: number; readonly pool: number };

/** The reply of a KVP daemon. `error` is a status; unless it is HV_S_OK the rest is ignored. */
export type KvpReply =
  | { readonly type: "get"; readonly error: number; readonly value?: string }
  | { readonly type: "enumerate"; readonly error: number; readonly key?: string; readonly value?: string }
  | { readonly type: "get_ip_info"; readonly error: number; readonly info?: KvpIpInfo }
  | { readonly type: "set" | "delete" | "set_ip_info" | "unknown"; readonly error: number };

/** A request of the kernel to a VSS daemon, `struct hv_vss_msg`. */
export type VssRequest =
  /** The reply to a registration, only four bytes. */
  | { readonly type: "register"; readonly operation: number }
  | { readonly type: VssOperationName }
  /** An unknown operation. */
  | { readonly type: "unknown"; readonly operation: number };

/** An adapter without any information. */
export const NO_IP_INFO: KvpIpInfo = {
  adapterId: "",
  addrFamily: 0,
  dhcpEnabled: false,
  ipAddr: "",
  subNet: "",
  gateWay: "",
  dnsAddr: "",
};

/** Sizes in bytes of the texts in `struct hv_kvp_ipaddr_value`, which declares them in 16-bit units. */
const IP_TEXTS = [
  ["adapterId", HV_KVP_IPADDR_VALUE.adapter_id, 256],
  ["ipAddr", HV_KVP_IPADDR_VALUE.ip_addr, 2048],
  ["subNet", HV_KVP_IPADDR_VALUE.sub_net, 2048],
  ["gateWay", HV_KVP_IPADDR_VALUE.gate_way, 1024],
  ["dnsAddr", HV_KVP_IPADDR_VALUE.dns_addr, 2048],
] as const;

const VSS_NAME_OF: ReadonlyMap<number, VssOperationName> = new Map(
  Object.entries(VSS_NAMES).map(([name, operation]) => [operation, name as VssOperationName]),
);

/**
 * Decodes a message of the kernel to a KVP daemon, the payload of one connector message.
 *
 * @throws {DecodeError} When it is shorter than `struct hv_kvp_msg`, or a size in it is too large.
 */
export function decodeKvpRequest(bytes: Uint8Array): KvpRequest {
  requireBytes("hv_kvp_msg", HV_KVP_MSG.SIZE, bytes);
  const view = viewOf(bytes);
  const operation = view.getUint8(HV_KVP_MSG.operation);
  const pool = view.getUint8(HV_KVP_MSG.pool);
  const body = HV_KVP_MSG.body;
  if (operation === KVP_OP_REGISTER1) {
    const version = decodeCString(bytes, body + HV_KVP_REGISTER.version, body + HV_KVP_REGISTER.SIZE);
    return { type: "register", operation, version };
  }
  switch (operation) {
    case KVP_OP_GET:
      return { type: "get", pool, key: decodeKey(bytes, view, body) };
    case KVP_OP_SET:
      return { type: "set", pool, key: decodeKey(bytes, view, body), value: decodeValue(bytes, view, body) };
    case KVP_OP_DELETE: {
      const keyAt = body + HV_KVP_MSG_DELETE.key;
      const size = view.getUint32(body + HV_KVP_MSG_DELETE.key_size, LITTLE);
      return {
        type: "delete",
        pool,
        key: decodeSized("key", bytes, keyAt, size, HV_KVP_EXCHANGE_MAX_KEY_SIZE),
      };
    }
    case KVP_OP_ENUMERATE:
      return { type: "enumerate", pool, index: view.getUint32(body + HV_KVP_MSG_ENUMERATE.index, LITTLE) };
    case KVP_OP_GET_IP_INFO:
      return { type: "get_ip_info", pool, info: decodeIpInfo(bytes, body) };
    case KVP_OP_SET_IP_INFO:
      return { type: "set_ip_info", pool, info: decodeIpInfo(bytes, body) };
    default:
      return { type: "unknown", operation, pool };
  }
}

/**
 * Where the driver reads the value of *get*, and key and value of *enumerate*. The header declares the value of a get four
 * bytes earlier; the stock daemon writes it there, so that the host loses the first four bytes of the text.
 */
const REPLY_DATA: number = HV_KVP_MSG.body + HV_KVP_MSG_ENUMERATE.data;

/**
 * Encodes the reply of a KVP daemon, with each text where the driver reads it.
 *
 * @throws {RangeError} When a text does not fit.
 */
export function encodeKvpReply(reply: KvpReply): Uint8Array {
  const out = fixedBytes(HV_KVP_MSG.SIZE);
  const view = viewOf(out);
  view.setUint32(HV_KVP_MSG.error, reply.error, LITTLE);
  if (reply.error !== 0) return out;
  if (reply.type === "get_ip_info") encodeIpInfoInto(out, HV_KVP_MSG.body, reply.info ?? NO_IP_INFO);
  if (reply.type === "enumerate") encodeKey(out, view, REPLY_DATA, reply.key ?? "");
  if (reply.type === "get" || reply.type === "enumerate") {
    encodeValue(out, view, REPLY_DATA, reply.value ?? "");
  }
  return out;
}

/**
 * Decodes the status in a reply of a KVP daemon. The reply does not contain its operation.
 *
 * @throws {DecodeError} When it is shorter than `struct hv_kvp_msg`.
 */
export function decodeKvpStatus(bytes: Uint8Array): number {
  requireBytes("hv_kvp_msg", HV_KVP_MSG.SIZE, bytes);
  return viewOf(bytes).getUint32(HV_KVP_MSG.error, LITTLE);
}

/** The registration of a KVP daemon: the first message that it sends. The kernel replies with its version. */
export function encodeKvpRegister(): Uint8Array {
  const out = fixedBytes(HV_KVP_MSG.SIZE);
  out[HV_KVP_MSG.operation] = KVP_OP_REGISTER1;
  return out;
}

/**
 * Decodes a message of the kernel to a VSS daemon, the payload of one connector message.
 *
 * @throws {DecodeError} When it is shorter than `struct hv_vss_msg`, and not the four bytes of a reply to a registration.
 */
export function decodeVssRequest(bytes: Uint8Array): VssRequest {
  requireBytes("hv_vss_msg", 4, bytes);
  const operation = bytes[HV_VSS_MSG.operation]!;
  if (operation === VSS_OP_REGISTER || operation === VSS_OP_REGISTER1) return { type: "register", operation };
  requireBytes("hv_vss_msg", HV_VSS_MSG.SIZE, bytes);
  const type = VSS_NAME_OF.get(operation);
  return type === undefined ? { type: "unknown", operation } : { type };
}

/** Encodes the reply of a VSS daemon, a status. The kernel requires all twelve bytes. */
export function encodeVssReply(error: number): Uint8Array {
  const out = fixedBytes(HV_VSS_MSG.SIZE);
  viewOf(out).setUint32(HV_VSS_MSG.error, error, LITTLE);
  return out;
}

/**
 * Decodes the status in a reply of a VSS daemon.
 *
 * @throws {DecodeError} When it is shorter than `struct hv_vss_msg`.
 */
export function decodeVssStatus(bytes: Uint8Array): number {
  requireBytes("hv_vss_msg", HV_VSS_MSG.SIZE, bytes);
  return viewOf(bytes).getUint32(HV_VSS_MSG.error, LITTLE);
}

/** The registration of a VSS daemon: the first message that it sends. The kernel replies to VSS_OP_REGISTER1 only. */
export function encodeVssRegister(): Uint8Array {
  const out = fixedBytes(HV_VSS_MSG.SIZE);
  out[HV_VSS_MSG.operation] = VSS_OP_REGISTER1;
  return out;
}

function decodeKey(bytes: Uint8Array, view: DataView, at: number): string {
  const size = view.getUint32(at + HV_KVP_EXCHG_MSG_VALUE.key_size, LITTLE);
  return decodeSized("key", bytes, at + HV_KVP_EXCHG_MSG_VALUE.key, size, HV_KVP_EXCHANGE_MAX_KEY_SIZE);
}

function decodeValue(bytes: Uint8Array, view: DataView, at: number): string {
  const size = view.getUint32(at + HV_KVP_EXCHG_MSG_VALUE.value_size, LITTLE);
  return decodeSized("value", bytes, at + HV_KVP_EXCHG_MSG_VALUE.value, size, HV_KVP_EXCHANGE_MAX_VALUE_SIZE);
}

function decodeSized(what: string, bytes: Uint8Array, at: number, size: number, room: number): string {
  if (size > room) throw new DecodeError(`hv_kvp_msg ${what}`, size, room);
  return decodeCString(bytes, at, at + size);
}

function encodeKey(out: Uint8Array, view: DataView, at: number, key: string): void {
  const size = writeText("key", out, at + HV_KVP_EXCHG_MSG_VALUE.key, HV_KVP_EXCHANGE_MAX_KEY_SIZE, key);
  view.setUint32(at + HV_KVP_EXCHG_MSG_VALUE.key_size, size, LITTLE);
}

/** The driver reports every value to the host as text, so the type is always text. */
function encodeValue(out: Uint8Array, view: DataView, at: number, value: string): void {
  const size = writeText(
    "value",
    out,
    at + HV_KVP_EXCHG_MSG_VALUE.value,
    HV_KVP_EXCHANGE_MAX_VALUE_SIZE,
    value,
  );
  view.setUint32(at + HV_KVP_EXCHG_MSG_VALUE.value_size, size, LITTLE);
  view.setUint32(at + HV_KVP_EXCHG_MSG_VALUE.value_type, REG_SZ, LITTLE);
}

function decodeIpInfo(bytes: Uint8Array, at: number): KvpIpInfo {
  const text = Object.fromEntries(
    IP_TEXTS.map(([name, offset, room]) => [name, decodeCString(bytes, at + offset, at + offset + room)]),
  ) as Record<(typeof IP_TEXTS)[number][0], string>;
  return {
    ...text,
    addrFamily: bytes[at + HV_KVP_IPADDR_VALUE.addr_family]!,
    dhcpEnabled: bytes[at + HV_KVP_IPADDR_VALUE.dhcp_enabled] !== 0,
  };
}

function encodeIpInfoInto(out: Uint8Array, at: number, info: KvpIpInfo): void {
  for (const [name, offset, room] of IP_TEXTS) writeText(name, out, at + offset, room, info[name]);
  out[at + HV_KVP_IPADDR_VALUE.addr_family] = info.addrFamily;
  out[at + HV_KVP_IPADDR_VALUE.dhcp_enabled] = info.dhcpEnabled ? 1 : 0;
}

/** Writes a text and its NUL; returns their size. */
function writeText(what: string, out: Uint8Array, at: number, room: number, text: string): number {
  const bytes = encodeCString(text);
  if (bytes.length > room) {
    throw new RangeError(`Cannot encode hv_kvp_msg ${what}: ${bytes.length} bytes do not fit ${room}`);
  }
  out.set(bytes, at);
  return bytes.length;
}

function requireBytes(structure: string, bytes: number, data: Uint8Array): void {
  if (data.length < bytes) throw new DecodeError(structure, bytes, data.length);
}
