/**
 * Something that was asked of a connector that is closed, or that was closed before it was done.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { ClosedError } from "kernel-connector";
 *
 * assert.equal(new ClosedError("send to 12:1").message, "Cannot send to 12:1: the connector is closed");
 * ```
 */
export class ClosedError extends Error {
  /** Always `"ClosedError"`. */
  override readonly name = "ClosedError";

  /** `action` completes "Cannot …". */
  constructor(action: string, options?: ErrorOptions) {
    super(`Cannot ${action}: the connector is closed`, options);
  }
}
