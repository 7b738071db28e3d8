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
