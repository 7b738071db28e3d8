import type { Counters } from "./stats.ts";

/** What code that is not ours throws, callbacks and functions given as options: it is told, and harms nobody else. */
export class ErrorReporter {
  readonly #count: Counters;
  readonly #onError: ((error: unknown, failed: string) => void) | undefined;

  constructor(count: Counters, onError: ((error: unknown, failed: string) => void) | undefined) {
    this.#count = count;
    this.#onError = onError;
  }

  /** Runs what is not ours: what it throws is reported and gives undefined. */
  runSafely<T>(failed: string, run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.report(error, failed);
      return undefined;
    }
  }

  /** Tells whoever wants to know, else standard error. */
  report(error: unknown, failed: string): void {
    this.#count.failures++;
    const onError = this.#onError;
    reportError(error, failed, onError && (() => onError(error, failed)));
  }
}

/** Calls `onError`, and writes to standard error where there is none, or where it throws. Never throws. */
export function reportError(error: unknown, failed: string, onError: (() => void) | undefined): void {
  try {
    if (onError !== undefined) return onError();
  } catch (second) {
    console.error("kernel-connector: onError failed:", second);
  }
  console.error(`kernel-connector: ${failed} failed:`, error);
}
