import type { Goal, Line } from "./section.ts";

/** A number with about three significant digits. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/** A ratio with the range of its rounds. */
export function formatRatio({ ratio }: Line): string {
  if (ratio === undefined) return "";
  const { median, min, max, count } = ratio;
  const digits = median < 0.1 ? 3 : 2;
  const range = count > 1 ? ` (${min.toFixed(digits)} to ${max.toFixed(digits)})` : "";
  return `${median.toFixed(digits)}${range}`;
}

export function formatGoal(goal: Goal | undefined): string {
  if (goal === undefined) return "";
  return goal.most !== undefined ? `≤ ${goal.most}` : `≥ ${goal.least}`;
}
