// What the Hyper-V drivers send to a daemon, and how they read its replies.

import { DecodeError } from "../../../lib/errors/decode_error.ts";
import * as c from "../../../lib/protocols/hyperv/constants.ts";
import {
  HV_KVP_EXCHG_MSG_VALUE,
  HV_KVP_MSG,
  HV_KVP_MSG_DELETE,
  HV_KVP_MSG_ENUMERATE,
  HV_KVP_REGISTER,
  HV_VSS_MSG,
} from "../../../lib/protocols/hyperv/layout.ts";
import {
  decodeKvpRequest,
  encodeKvpReply,
  type KvpIpInfo,
  type KvpReply,
  type KvpRequest,
  type VssRequest,
} from "../../../lib/protocols/hyperv/message.ts";
import { LITTLE, viewOf } from "../../../lib/wire/bytes.ts";
import { decodeCString, encodeCString } from "../../../lib/wire/text.ts";

const OPERATIONS = {
  get: c.KVP_OP_GET,
  set: c.KVP_OP_SET,
  delete: c.KVP_OP_DELETE,
  enumerate: c.KVP_OP_ENUMERATE,
  get_ip_info: c.KVP_OP_GET_IP_INFO,
  set_ip_info: c.KVP_OP_SET_IP_INFO,
} as const;

/** A message of the KVP driver. */
export function encodeKvpRequest(request: KvpRequest): Uint8Array {
  // A request has the addresses at the same place as a reply.
  const out = "info" in request
    ? encodeKvpReply({ type: "get_ip_info", error: 0, info: request.info })
    : new Uint8Array(HV_KVP_MSG.SIZE);
  const view = viewOf(out);
  const body = HV_KVP_MSG.body;
  const setText = (at: number, text: string): number => {
    out.set(encodeCString(text), at);
    return encodeCString(text).length;
  };
  out[HV_KVP_MSG.operation] = "operation" in request ? request.operation : OPERATIONS[request.type];
  if (request.type === "register") setText(body + HV_KVP_REGISTER.version, request.version);
  else out[HV_KVP_MSG.pool] = request.pool;
  if (request.type === "get" || request.type === "set") {
    const size = setText(body + HV_KVP_EXCHG_MSG_VALUE.key, request.key);
    view.setUint32(body + HV_KVP_EXCHG_MSG_VALUE.key_size, size, LITTLE);
  }
  if (request.type === "set") {
    const size = setText(body + HV_KVP_EXCHG_MSG_VALUE.value, request.value);
    view.setUint32(body + HV_KVP_EXCHG_MSG_VALUE.value_size, size, LITTLE);
    view.setUint32(body + HV_KVP_EXCHG_MSG_VALUE.value_type, c.REG_SZ, LITTLE);
  }
  if (request.type === "delete") {
    const size = setText(body + HV_KVP_MSG_DELETE.key, request.key);
    view.setUint32(body + HV_KVP_MSG_DELETE.key_size, size, LITTLE);
  }
  if (request.type === "enumerate") {
    view.setUint32(body + HV_KVP_MSG_ENUMERATE.index, request.index, LITTLE);
  }
  return out;
}

/** Where the driver reads the value of *get*, and key and value of *enumerate*. */
const REPLY_DATA: number = HV_KVP_MSG.body + HV_KVP_MSG_ENUMERATE.data;

/**
 * Reads the reply of a KVP daemon as the driver does: a text ends at its NUL, and the sizes, which the stock daemon
 * leaves 0, are ignored. The reply does not contain its operation: the caller passes it as `type`.
 *
 * @throws {DecodeError} When it is shorter than `struct hv_kvp_msg`.
 */
export function decodeKvpReply(type: KvpReply["type"], bytes: Uint8Array): KvpReply {
  if (bytes.length < HV_KVP_MSG.SIZE) throw new DecodeError("hv_kvp_msg", HV_KVP_MSG.SIZE, bytes.length);
  const error = viewOf(bytes).getUint32(HV_KVP_MSG.error, LITTLE);
  if (error !== 0) return { type, error };
  const text = (at: number, room: number): string =>
    decodeCString(bytes, REPLY_DATA + at, REPLY_DATA + at + room);
  const value = (): string => text(HV_KVP_EXCHG_MSG_VALUE.value, c.HV_KVP_EXCHANGE_MAX_VALUE_SIZE);
  switch (type) {
    case "get":
      return { type, error, value: value() };
    case "enumerate":
      return {
        type,
        error,
        key: text(HV_KVP_EXCHG_MSG_VALUE.key, c.HV_KVP_EXCHANGE_MAX_KEY_SIZE),
        value: value(),
      };
    case "get_ip_info":
      return { type, error, info: readIpInfo(bytes) };
    default:
      return { type, error };
  }
}

/** A reply has the addresses at the same place as a request. */
function readIpInfo(bytes: Uint8Array): KvpIpInfo {
  const request = bytes.slice();
  request[HV_KVP_MSG.operation] = c.KVP_OP_SET_IP_INFO;
  const decoded = decodeKvpRequest(request);
  if (decoded.type !== "set_ip_info") throw new TypeError(`Cannot read addresses out of ${decoded.type}`);
  return decoded.info;
}

/** A message of the VSS driver. */
export function encodeVssRequest(request: VssRequest): Uint8Array {
  const register = request.type === "register";
  const out = new Uint8Array(register ? 4 : HV_VSS_MSG.SIZE);
  out[HV_VSS_MSG.operation] = register || request.type === "unknown"
    ? request.operation
    : c.VSS_NAMES[request.type];
  return out;
}
