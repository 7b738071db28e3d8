/**
 * Makes `JSON.stringify` write whatever this library hands out: a `bigint` as a decimal string, bytes as lower-case
 * hexadecimal. Without it, an event throws, because JSON has no number for its `timestampNs`.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { jsonReplacer } from "kernel-connector";
 *
 * const event = { type: "exit", timestampNs: 6099489660017n, pid: 4711 };
 * assert.equal(
 *   JSON.stringify(event, jsonReplacer),
 *   '{"type":"exit","timestampNs":"6099489660017","pid":4711}',
 * );
 * assert.equal(JSON.stringify({ data: Uint8Array.of(0, 255) }, jsonReplacer), '{"data":"00ff"}');
 * ```
 */
export function jsonReplacer(_key: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Uint8Array ? hexOf(value) : value;
}

/** Bytes as lower-case hexadecimal. */
export function hexOf(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}
