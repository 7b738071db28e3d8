import type { CnMsg } from "../../connector/message.ts";
import { type JsonValue, type Protocol } from "../../connector/protocol.ts";
import { errnoName } from "../../errors/errno.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG } from "./constants.ts";
import { decodeDmLogRequest } from "./message.ts";
import { decodeDmLogReply } from "./reply.ts";
import { hexOf } from "../../wire/json.ts";

/** The device-mapper's dirty log in user space (drivers/md/dm-log-userspace-*.c). */
export const dmLog: Protocol = {
  name: "dm_log",
  title: "Dirty logs of device-mapper mirrors, kept in user space",
  id: { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG },
  describe,
};

/** Requests come from the kernel, replies from a program; a reply without a payload is an acknowledgement. */
function describe(message: CnMsg, from: "kernel" | "user"): JsonValue {
  if (from === "user" && message.data.length === 0) {
    return { type: "ack", error: message.ack === 0 ? 0 : errnoName(message.ack) };
  }
  return plain(from === "kernel" ? decodeDmLogRequest(message.data) : decodeDmLogReply(message.data));
}

/** Writes 64-bit numbers as text, and the kernel address in hex. */
function plain(value: object): JsonValue {
  const out: Record<string, JsonValue> = {};
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined) continue;
    if (field instanceof Uint8Array) out[name] = hexOf(field);
    else if (name === "luid") out[name] = `0x${(field as bigint).toString(16)}`;
    else if (name === "error" && field !== 0) out[name] = errnoName(-field);
    else if (Array.isArray(field)) out[name] = field.map(String);
    else out[name] = typeof field === "bigint" ? String(field) : field as JsonValue;
  }
  return out;
}
