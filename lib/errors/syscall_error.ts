import { RAISE_LIMIT, RAISE_SYSTEM_LIMIT } from "./advice.ts";
import { ERRNO, errnoName } from "./errno.ts";

/** Want of something that any call may need: what the caller advises is for other reasons to fail. */
const SHORTAGES: ReadonlyMap<number, string> = new Map([
  [ERRNO.EMFILE!, RAISE_LIMIT],
  [ERRNO.ENFILE!, RAISE_SYSTEM_LIMIT],
]);

/**
 * A system call that failed, and what that kept us from doing.
 *
 * The message reads "Cannot ACTION: CALL failed with CODE: ADVICE".
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { SyscallError } from "kernel-connector";
 *
 * const error = new SyscallError("open a connector socket", "socket", 1, "run it as root");
 * assert.equal(error.message, "Cannot open a connector socket: socket failed with EPERM: run it as root");
 * assert.equal(error.code, "EPERM");
 * ```
 */
export class SyscallError extends Error {
  /** Always `"SyscallError"`. */
  override readonly name = "SyscallError";
  /** The call that failed, as in its man page: `"bind"`. */
  readonly call: string;
  /** The positive error number. */
  readonly errno: number;
  /** The name of the error number: `"EPERM"`. */
  readonly code: string;
  /** What to do about it, where that is known. */
  readonly advice: string | undefined;

  /** `action` completes "Cannot …"; `errno` is positive. EMFILE and ENFILE have an advice of their own. */
  constructor(action: string, call: string, errno: number, advice?: string) {
    const code = errnoName(errno);
    advice = SHORTAGES.get(errno) ?? advice;
    super(`Cannot ${action}: ${call} failed with ${code}${advice === undefined ? "" : `: ${advice}`}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
    this.advice = advice;
  }
}

/** Hands a libc result (a number, or `-errno`) on, or throws it as a {@linkcode SyscallError}. */
export function check(result: number, action: string, call: string, advice?: string): number {
  if (result < 0) throw new SyscallError(action, call, -result, advice);
  return result;
}
