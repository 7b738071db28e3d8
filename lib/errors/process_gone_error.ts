/**
 * A process that there is not (any more).
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { ProcessGoneError } from "kernel-connector";
 *
 * const error = new ProcessGoneError("wait for process 4711", 4711, "absent");
 * assert.equal(error.message, "Cannot wait for process 4711: there is no such process");
 * assert.equal(error.reason, "absent");
 * ```
 */
export class ProcessGoneError extends Error {
  /** Always `"ProcessGoneError"`. */
  override readonly name = "ProcessGoneError";
  /** The process. */
  readonly pid: number;
  /** `"absent"`: /proc does not have it. `"zombie"`: it has ended, and its parent has not collected its status. */
  readonly reason: "absent" | "zombie";

  /** `action` completes "Cannot …". */
  constructor(action: string, pid: number, reason: "absent" | "zombie") {
    super(`Cannot ${action}: ${EXPLANATIONS[reason]}`);
    this.pid = pid;
    this.reason = reason;
  }
}

const EXPLANATIONS: Readonly<Record<ProcessGoneError["reason"], string>> = {
  "absent": "there is no such process",
  "zombie": "it has ended already, and its parent has not collected its status yet",
};
