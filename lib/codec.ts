/**
 * Encodes and decodes messages without a socket: for captures, for tests, and for messages inside of messages. Every
 * decoder checks lengths before it reads, and throws nothing but a {@linkcode DecodeError}.
 *
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeCnMsg, encodeCnMsg } from "kernel-connector/codec";
 *
 * const bytes = encodeCnMsg({ id: { idx: 20, val: 1 }, seq: 1, ack: 0, flags: 0, data: Uint8Array.of(7) });
 * const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
 * assert.deepEqual(decodeCnMsg(view, 0, view.byteLength).id, { idx: 20, val: 1 });
 * ```
 *
 * @module
 */
export {
  type CbId,
  type CnMsg,
  type CnMsgHeader,
  decodeCnMsg,
  decodeCnMsgs,
  encodeCnMsg,
} from "./connector/message.ts";
export { DecodeError } from "./errors/decode_error.ts";
export { decodeProcEvent, type ProcAck } from "./processes/codec.ts";
export type { KernelProcessEvent } from "./processes/event.ts";
