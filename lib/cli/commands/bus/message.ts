import { DecodeError, type LostEvent, type ReceivedMessage } from "../../../../mod.ts";
import { sameId } from "../../../connector/message.ts";
import type { JsonValue } from "../../../connector/protocol.ts";
import { PROTOCOLS } from "../../../protocols/all.ts";
import { jsonLine, jsonText } from "../../../wire/json_text.ts";
import type { TimeText } from "../../io/time.ts";

/** Bytes per line of a hex dump. */
const DUMP_BYTES = 16;

/** The decoded content; undefined if the protocol is unknown or the message is malformed. */
function describe(
  message: ReceivedMessage,
): { readonly name: string; readonly content: JsonValue } | undefined {
  const protocol = PROTOCOLS.find(({ id }) => sameId(id, message.id));
  if (protocol === undefined) return undefined;
  try {
    return {
      name: protocol.name,
      content: protocol.describe(message, message.from.port === 0 ? "kernel" : "user"),
    };
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** A message as text: a header line, the decoded content, and a hex dump. Safe for a terminal. */
export function messageText(message: ReceivedMessage, wallMs: number, times: TimeText): string {
  const { id, seq, ack, flags, data, from } = message;
  const { port, group, credentials } = from;
  const sender = port === 0 ? "kernel" : `port ${port}`;
  const owner = credentials === undefined || port === 0
    ? ""
    : ` (pid ${credentials.pid}, uid ${credentials.uid})`;
  const head = `${times.local(wallMs)} ${id.idx}:${id.val} from ${sender}${owner}` +
    `${group === 0 ? "" : ` to group ${group}`}, seq ${seq} ack ${ack}` +
    `${flags === 0 ? "" : ` flags 0x${flags.toString(16)}`}, ${data.length} byte${
      data.length === 1 ? "" : "s"
    }\n`;
  const described = describe(message);
  const content = described === undefined ? "" : `  ${described.name} ${jsonText(described.content)}\n`;
  return head + content + dump(data);
}

/** A message as one line of JSON, with its newline. */
export function messageJson(message: ReceivedMessage, wallMs: number, times: TimeText): string {
  const { id, seq, ack, flags, data, from } = message;
  const { port, group, credentials } = from;
  const described = describe(message);
  return jsonLine({
    time: times.iso(wallMs),
    type: "message",
    id: { idx: id.idx, val: id.val },
    seq,
    ack,
    flags,
    from: { port, group, ...(credentials ?? { pid: null, uid: null, gid: null }) },
    data,
    protocol: described?.name,
    content: described?.content,
  });
}

/** A loss as text. */
export function lostText(lost: LostEvent, wallMs: number, times: TimeText): string {
  const where = lost.where === "kernel" ? "the receive buffer was full" : "they were not read fast enough";
  return `${times.local(wallMs)} LOST ${lost.count} message${lost.count === 1 ? "" : "s"}: ${where}\n`;
}

/** A loss as one line of JSON, with its newline. */
export function lostJson(lost: LostEvent, wallMs: number, times: TimeText): string {
  return jsonLine({ time: times.iso(wallMs), type: "lost", count: lost.count, where: lost.where });
}

/** Bytes in the format of `hexdump -C`, without folding repeated lines. */
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
