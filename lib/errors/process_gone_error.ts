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
  /** How it is gone, for programs. */
  readonly reason: ProcessGoneReason;

  /** `action` completes "Cannot …". */
  constructor(action: string, pid: number, reason: ProcessGoneReason) {
    super(`Cannot ${action}: ${EXPLANATIONS[reason]}`);
    this.pid = pid;
    this.reason = reason;
  }
}

/** How a process is gone. */
export type ProcessGoneReason =
  /** /proc does not have it. */
  | "absent"
  /** It has ended, and its parent has not asked for its status. */
  | "zombie";

const EXPLANATIONS: Readonly<Record<ProcessGoneReason, string>> = {
  "absent": "there is no such process",
  "zombie": "it has ended already, and its parent has not collected its status yet",
};
