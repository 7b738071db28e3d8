import type { Explanation } from "../errors/advice.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";

/**
 * What a check comes to: `ok`; `warn` for what limits something, or for what could not be found out; `fail` for what
 * keeps process events from being watched.
 */
export type Verdict = "ok" | "warn" | "fail";

/** What a check has found. */
export interface Finding {
  /** What it comes to. */
  readonly verdict: Verdict;
  /** What was found, as a sentence without a capital and a full stop. */
  readonly finding: string;
  /** What to do about it, where something can be done. */
  readonly advice?: string | undefined;
}

/** All is well. */
export function ok(finding: string): Finding {
  return { verdict: "ok", finding };
}

/** Something is limited. */
export function warn(finding: string, advice?: string): Finding {
  return advice === undefined ? { verdict: "warn", finding } : { verdict: "warn", finding, advice };
}

/** This keeps process events from being watched. */
export function fail({ finding, advice }: Explanation): Finding {
  return advice === undefined ? { verdict: "fail", finding } : { verdict: "fail", finding, advice };
}

/** It could not be found out, and why. */
export function unknown(why: string): Finding {
  return { verdict: "warn", finding: `not known: ${why}` };
}

/** What an error of this library says, without what could not be done. */
export function explain(error: unknown): Explanation {
  if (error instanceof UnsupportedError) return { finding: error.finding, advice: error.advice };
  if (error instanceof SyscallError) {
    return { finding: `${error.call} failed with ${error.code}`, advice: error.advice };
  }
  return { finding: error instanceof Error ? error.message : String(error) };
}
