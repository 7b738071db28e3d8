import type { Explanation } from "../errors/advice.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";

/** A check and what it found. */
export interface DiagnosisCheck {
  /** What was checked: a name that does not change between versions. */
  readonly name: string;
  /**
   * `ok`; `warn` for a limitation, or where the check could not be made; `fail` for something that prevents watching
   * process events.
   */
  readonly verdict: "ok" | "warn" | "fail";
  /** What was found: a sentence without a capital and a full stop. */
  readonly finding: string;
  /** What to do about it, if anything can be done. */
  readonly advice?: string | undefined;
}

/** What a check found. */
export type Finding = Omit<DiagnosisCheck, "name">;

/** All is well. */
export function ok(finding: string): Finding {
  return { verdict: "ok", finding };
}

/** There is a limitation. */
export function warn(finding: string, advice?: string): Finding {
  return advice === undefined ? { verdict: "warn", finding } : { verdict: "warn", finding, advice };
}

/** This prevents watching process events. */
export function fail({ finding, advice }: Explanation): Finding {
  return advice === undefined ? { verdict: "fail", finding } : { verdict: "fail", finding, advice };
}

/** The check could not be made, and why. */
export function unknown(why: string): Finding {
  return { verdict: "warn", finding: `unknown: ${why}` };
}

/** The reason and advice of one of this library's errors, without what could not be done. */
export function explain(error: unknown): Explanation {
  if (error instanceof UnsupportedError) return { finding: error.finding, advice: error.advice };
  if (error instanceof SyscallError) {
    return { finding: `${error.call} failed with ${error.code}`, advice: error.advice };
  }
  return { finding: error instanceof Error ? error.message : String(error) };
}
