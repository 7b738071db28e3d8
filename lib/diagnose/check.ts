import type { Explanation } from "../errors/advice.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import type { DiagnosisCheck } from "./diagnose.ts";

/** What a check has found. */
export type Finding = Omit<DiagnosisCheck, "name">;

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
