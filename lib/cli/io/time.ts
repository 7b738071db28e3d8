/** Converts a timestamp of the kernel to wall-clock time, in milliseconds since 1970; a process watch does. */
export interface EventClock {
  wallTimeMs(timestampNs: bigint): number;
}

/** Formats times as local `HH:MM:SS.mmm` and as ISO 8601 in UTC. The part up to the second is cached. */
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
