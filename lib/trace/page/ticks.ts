/** 1, 2 or 5 times a power of ten: the first that is at least that long; then whole minutes, hours and days. */
export function tickNs(leastNs: number): number {
  for (const seconds of [60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400]) {
    if (leastNs > 2e10 && seconds * 1e9 >= leastNs) return seconds * 1e9;
  }
  if (leastNs > 8.64e13) return Math.ceil(leastNs / 8.64e13) * 8.64e13;
  const power = 10 ** Math.floor(Math.log10(Math.max(1, leastNs)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((ns) => ns >= leastNs * 0.999)!;
}

/** A time since the beginning, as exact as its neighbours need. */
export function tickLabel(ns: number, stepNs: number): string {
  if (stepNs >= 60e9) {
    const minutes = Math.round(ns / 60e9);
    return minutes < 60
      ? `${minutes} min`
      : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
  }
  const [unit, nsPerUnit] = ns === 0 || stepNs >= 1e8 || ns >= 10e9
    ? ["s", 1e9]
    : stepNs >= 1e5
    ? ["ms", 1e6]
    : ["µs", 1e3];
  const digits = Math.max(0, Math.ceil(-Math.log10(stepNs / nsPerUnit) - 1e-9));
  return `${(ns / nsPerUnit).toFixed(ns === 0 ? 0 : digits)} ${unit}`;
}
