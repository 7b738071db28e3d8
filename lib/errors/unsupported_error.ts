/**
 * Something that this kernel, this namespace, this runtime or its permissions do not offer. The message says which,
 * and what to do.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { UnsupportedError } from "kernel-connector";
 *
 * const error = new UnsupportedError("watch processes", "no-proc-events", "this kernel has no CONFIG_PROC_EVENTS");
 * assert.equal(error.message, "Cannot watch processes: this kernel has no CONFIG_PROC_EVENTS");
 * assert.equal(error.reason, "no-proc-events");
 * ```
 */
export class UnsupportedError extends Error {
  /** Always `"UnsupportedError"`. */
  override readonly name = "UnsupportedError";
  /** The cause, for programs. */
  readonly reason: UnsupportedReason;
  /** What was found: the message without what could not be done, and without the advice. */
  readonly finding: string;
  /** What to do about it, where that is known: the end of the message. */
  readonly advice: string | undefined;

  /** `action` completes "Cannot …". The message reads "Cannot ACTION: FINDING: ADVICE". */
  constructor(
    action: string,
    reason: UnsupportedReason,
    finding: string,
    options: ErrorOptions & { readonly advice?: string | undefined } = {},
  ) {
    const { advice, ...rest } = options;
    super(`Cannot ${action}: ${finding}${advice === undefined ? "" : `: ${advice}`}`, rest);
    this.reason = reason;
    this.finding = finding;
    this.advice = advice;
  }
}

/** Why something is not supported here. */
export type UnsupportedReason =
  /** Not Linux on x86-64 or arm64. */
  | "platform"
  /** This runtime, or this version of it, has no foreign function interface. */
  | "runtime"
  /** The runtime was started without a permission that is needed. */
  | "permission"
  /** No C library was found where it is looked for. */
  | "libc"
  /** The kernel has no connector (CONFIG_CONNECTOR). */
  | "no-connector"
  /** Something other than a Linux kernel runs this program, or filters its calls: gVisor, WSL 1, qemu-user, seccomp. */
  | "sandbox"
  /** The kernel serves no process events (CONFIG_PROC_EVENTS). */
  | "no-proc-events"
  /** This is not the initial network namespace, the only one that has the connector. */
  | "network-namespace"
  /** This is not the initial pid namespace. */
  | "pid-namespace"
  /** This is not the initial user namespace. */
  | "user-namespace"
  /** The kernel has no unified control groups. */
  | "no-cgroup"
  /** The kernel's description of its structures (BTF) cannot be read: no exec records. */
  | "no-exec-records"
  /** The kernel keeps no login users (CONFIG_AUDITSYSCALL). */
  | "no-audit"
  /** The request was sent and not acknowledged, for no reason that could be found. */
  | "not-acknowledged";
