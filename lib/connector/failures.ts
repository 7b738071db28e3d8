import type { Counters } from "./stats.ts";

/** What code that is not ours throws, callbacks and functions given as options: it is told, and harms nobody else. */
export class Failures {
  readonly #count: Counters;
  readonly #onError: ((error: unknown, failed: string) => void) | undefined;

  constructor(count: Counters, onError: ((error: unknown, failed: string) => void) | undefined) {
    this.#count = count;
    this.#onError = onError;
  }

  /** Runs what is not ours: what it throws is reported and gives undefined. */
  guard<T>(failed: string, run: () => T): T | undefined {
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
    try {
      if (this.#onError !== undefined) return this.#onError(error, failed);
    } catch (second) {
      console.error("kernel-connector: onError failed:", second);
    }
    console.error(`kernel-connector: ${failed} failed:`, error);
  }
}
