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

/** A duration in at most seven columns: `87us`, `4.21ms`, `12.3s`, `5m03s`, `3h12m`, `41d02h`; `<10ms` below 0. */
export function formatDuration(ns: bigint): string {
  const us = Number(ns) / 1000;
  if (us < 0) return "<10ms"; // /proc gives start times only to 10 ms
  if (us < 999.5) return `${us.toFixed(0)}us`;
  if (us < 999_500) return `${threeDigits(us / 1000)}ms`;
  const s = us / 1_000_000;
  if (s < 99.95) return `${threeDigits(s)}s`;
  const whole = Math.round(s);
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const minutes = Math.round(s / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  const hours = Math.round(s / 3600);
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

/** 0.123 to 999 with three significant digits. */
function threeDigits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}

function three(number: number): string {
  return number < 10 ? `00${number}` : number < 100 ? `0${number}` : String(number);
}
