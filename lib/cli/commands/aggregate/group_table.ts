import type { AggregateBy, ProcessGroup } from "../../../processes/aggregate.ts";
import { cutToWidth } from "../../io/text.ts";
import { safeText } from "../../../wire/escape.ts";
import { formatDuration } from "../../../wire/duration.ts";
import type { IdNames } from "../watch/row.ts";

/** A column of numbers, to the left of the name. */
export interface Column<T> {
  readonly title: string;
  /** What rows are sorted by, largest first; undefined if it is unknown. */
  readonly value: (row: T) => number | undefined;
  /** The value in at most {@linkcode COLUMN} columns. */
  readonly text: (row: T) => string;
}

/** How wide a column of numbers is. */
export const COLUMN = 7;

/** How the column of names is called. */
export const NAME_TITLES: Readonly<Record<AggregateBy, string>> = {
  program: "Program",
  parent: "Parent",
  user: "User",
  cgroup: "Control group",
};

/** The name of a group, safe for a terminal: `?` if it is unknown. */
export function groupName(
  { name, isOther }: Pick<ProcessGroup, "name" | "isOther">,
  by: AggregateBy,
  users: IdNames,
): string {
  if (isOther) return "(others)";
  if (name === undefined) return "?";
  return by === "user" ? users.name(Number(name)) : safeText(name);
}

/** How the failed processes of a group ended, most frequent first: `1 (12), SIGKILL (3)`. */
export function failuresText({ failures }: Pick<ProcessGroup, "failures">): string {
  return [...failures].sort(([, a], [, b]) => b - a).map(([how, count]) => `${how} (${count})`).join(", ");
}

/** A line of cells, aligned to the right, and the rest to their right, cut at `width`; without a newline. */
export function formatLine(cells: readonly string[], rest: string, width: number): string {
  const line = cells.map((cell) => `${cell.padStart(COLUMN)} `).join("") + rest;
  return width === Infinity ? line : cutToWidth(line, width);
}

/** A column of counts. */
export function countColumn<T>(title: string, value: (row: T) => number): Column<T> {
  return { title, value, text: (row) => formatCount(value(row)) };
}

/** A column of durations in nanoseconds. */
export function durationColumn<T>(title: string, value: (row: T) => number | undefined): Column<T> {
  return {
    title,
    value,
    text: (row) => {
      const ns = value(row);
      return ns === undefined ? "-" : formatDuration(BigInt(Math.round(ns)));
    },
  };
}

/** A number in at most seven columns. */
function formatCount(value: number): string {
  if (value < 10_000_000) return String(value);
  return value < 1e9 ? `${(value / 1e6).toFixed(1)}M` : `${(value / 1e9).toFixed(1)}G`;
}
