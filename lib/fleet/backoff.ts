const FIRST_MS = 500;
const LONGEST_MS = 60_000;

/**
 * Times to wait before another attempt: any time up to a limit that doubles, so that ten thousand machines do not come
 * back at once.
 */
export class Backoff {
  #limitMs = FIRST_MS;

  /** How long to wait now, in milliseconds. */
  next(): number {
    const ms = this.#limitMs * (0.5 + Math.random() / 2);
    this.#limitMs = Math.min(this.#limitMs * 2, LONGEST_MS);
    return ms;
  }

  /** It works again. */
  reset(): void {
    this.#limitMs = FIRST_MS;
  }
}
