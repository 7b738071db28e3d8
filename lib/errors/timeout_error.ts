/**
 * An answer that did not come in time.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { TimeoutError } from "kernel-connector";
 *
 * const error = new TimeoutError("get an answer from 12:1", 500);
 * assert.equal(error.message, "Cannot get an answer from 12:1: nothing came within 500 ms");
 * ```
 */
export class TimeoutError extends Error {
  /** Always `"TimeoutError"`, as the platform's own time-outs. */
  override readonly name = "TimeoutError";
  /** How long it was waited for. */
  readonly timeoutMs: number;

  /** `action` completes "Cannot …". */
  constructor(action: string, timeoutMs: number, options?: ErrorOptions) {
    super(`Cannot ${action}: nothing came within ${timeoutMs} ms`, options);
    this.timeoutMs = timeoutMs;
  }
}
