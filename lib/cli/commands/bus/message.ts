import { DecodeError, type LostMessages, type ReceivedMessage } from "../../../../mod.ts";
import type { JsonValue } from "../../../connector/protocol.ts";
import { PROTOCOLS } from "../../../protocols/all.ts";
import { TimeText } from "../../io/clock.ts";
import { safeJson } from "../../io/safe_text.ts";

/** Bytes in a line of a hex dump. */
const DUMP_BYTES = 16;

/** What a message says, where its protocol is known and it is one of its. */
function describe(
  message: ReceivedMessage,
): { readonly name: string; readonly says: JsonValue } | undefined {
  const { idx, val } = message.id;
  const protocol = PROTOCOLS.find(({ id }) => id.idx === idx && id.val === val);
  if (protocol === undefined) return undefined;
  try {
    return {
      name: protocol.name,
      says: protocol.describe(message, message.from.port === 0 ? "kernel" : "user"),
    };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** A message for people: a line about it, what it says, and its bytes. Safe for a terminal. */
export function messageText(message: ReceivedMessage, wallMs: number, times: TimeText): string {
  const { id, seq, ack, flags, data, from } = message;
  const { port, group, credentials } = from;
  const sender = port === 0 ? "kernel" : `port ${port}`;
  const whose = credentials === undefined || port === 0
    ? ""
    : ` (pid ${credentials.pid}, uid ${credentials.uid})`;
  const head = `${times.local(wallMs)} ${id.idx}:${id.val} from ${sender}${whose}` +
    `${group === 0 ? "" : ` to group ${group}`}, seq ${seq} ack ${ack}` +
    `${flags === 0 ? "" : ` flags 0x${flags.toString(16)}`}, ${data.length} byte${
      data.length === 1 ? "" : "s"
    }\n`;
  const described = describe(message);
  const says = described === undefined ? "" : `  ${described.name} ${jsonText(described.says)}\n`;
  return head + says + dump(data);
}

/** A message as one line of JSON, with its end. */
export function messageJson(message: ReceivedMessage, wallMs: number, times: TimeText): string {
  const { id, seq, ack, flags, data, from } = message;
  const { port, group, credentials } = from;
  const described = describe(message);
  return `${
    jsonText({
      time: times.iso(wallMs),
      type: "message",
      id: { idx: id.idx, val: id.val },
      seq,
      ack,
      flags,
      from: { port, group, ...(credentials ?? { pid: null, uid: null, gid: null }) },
      data: hex(data),
      protocol: described?.name ?? null,
      says: described?.says ?? null,
    })
  }\n`;
}

/** A loss for people. */
export function lostText(lost: LostMessages, wallMs: number, times: TimeText): string {
  const where = lost.where === "kernel" ? "the receive buffer was full" : "they were not read fast enough";
  return `${times.local(wallMs)} LOST ${lost.count} message${lost.count === 1 ? "" : "s"}: ${where}\n`;
}

/** A loss as one line of JSON, with its end. */
export function lostJson(lost: LostMessages, wallMs: number, times: TimeText): string {
  return `${jsonText({ time: times.iso(wallMs), type: "lost", count: lost.count, where: lost.where })}\n`;
}

/** Bytes as lower-case hex. */
export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

/** JSON in which a terminal finds nothing to obey. */
export function jsonText(value: JsonValue): string {
  if (typeof value === "string") return safeJson(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  const object = value as { readonly [name: string]: JsonValue };
  return `{${Object.keys(object).map((name) => `${safeJson(name)}:${jsonText(object[name]!)}`).join(",")}}`;
}

/** Bytes as hexdump -C shows them: all of them, and what is ASCII beside. */
function dump(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += DUMP_BYTES) {
    const line = bytes.subarray(at, at + DUMP_BYTES);
    const digits = Array.from(line, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const ascii = Array.from(line, (byte) => byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")
      .join("");
    text += `  ${at.toString(16).padStart(4, "0")}  ${digits.padEnd(DUMP_BYTES * 3 - 1)}  ${ascii}\n`;
  }
  return text;
}
