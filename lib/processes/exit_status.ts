import { signalName } from "./signals.ts";

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly coreDumped: boolean;
}

/** `$?` of a process: its code, or 128 and the number of the signal. Undefined if its status is not known. */
export function shellStatus({ exitCode, signal }: ProcessEnd): number | undefined {
  if (exitCode !== null) return exitCode;
  if (signal === null) return undefined;
  for (let number = 1; number < 128; number++) if (signalName(number) === signal) return 128 + number;
  return undefined;
}

/** `3`, `SIGSEGV core`, or `unknown`. */
export function endText({ exitCode, signal, coreDumped }: ProcessEnd): string {
  if (signal === null) return exitCode === null ? "unknown" : String(exitCode);
  return coreDumped ? `${signal} core` : signal;
}
