/** The two clocks of the runtime that are read. */
export interface RuntimeClocks {
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** Milliseconds of CLOCK_MONOTONIC since a moment that the runtime chose. */
  readonly monotonicMs: () => number;
}

const RUNTIME_CLOCKS: RuntimeClocks = { wallMs: () => Date.now(), monotonicMs: () => performance.now() };

/**
 * Turns the kernel's timestamps (CLOCK_MONOTONIC) into wall-clock time.
 *
 * The runtime's own monotonic clock ticks with the kernel's, but for a zero of its own. An event is never received
 * before it happened, so the smallest difference that was ever seen is that zero, late by one delivery. The wall clock
 * is read again for every batch: setting it, or a night of suspend, shows at once.
 */
export class WallClock {
  readonly #clocks: RuntimeClocks;
  #zeroMs = Infinity;
  #offsetMs = 0;

  /** `clocks` are for tests. */
  constructor(clocks: RuntimeClocks = RUNTIME_CLOCKS) {
    this.#clocks = clocks;
  }

  /** Takes note of the newest event that has just been received. */
  observe(timestampNs: bigint): void {
    const monotonicMs = this.#clocks.monotonicMs();
    this.#zeroMs = Math.min(this.#zeroMs, monotonicMs - Number(timestampNs) / 1e6);
    this.#offsetMs = this.#clocks.wallMs() - monotonicMs + this.#zeroMs;
  }

  /** When it happened, in milliseconds since 1970. */
  wallMs(timestampNs: bigint): number {
    return Number(timestampNs) / 1e6 + this.#offsetMs;
  }
}

/** Writes moments as `HH:MM:SS.mmm` of the local day and as ISO 8601 in UTC; the second is made only once. */
export class TimeText {
  #localSecond = -1;
  #local = "";
  #isoSecond = -1;
  #iso = "";

  /** `14:03:07.042`, in the local time zone. */
  local(wallMs: number): string {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#localSecond) {
      const date = new Date(second * 1000);
      this.#local = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.`;
      this.#localSecond = second;
    }
    return this.#local + three(Math.floor(wallMs - second * 1000));
  }

  /** `2026-08-30T12:03:07.042Z`. */
  iso(wallMs: number): string {
    const second = Math.floor(wallMs / 1000);
    if (second !== this.#isoSecond) {
      this.#iso = new Date(second * 1000).toISOString().slice(0, 20);
      this.#isoSecond = second;
    }
    return `${this.#iso}${three(Math.floor(wallMs - second * 1000))}Z`;
  }
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}

function three(number: number): string {
  return number < 10 ? `00${number}` : number < 100 ? `0${number}` : String(number);
}
