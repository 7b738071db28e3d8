import { InvalidArgumentError } from "commander";

const UNIT_MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
const RELATIVE =
  /^(\d+(?:\.\d+)?)\s*(s|m|h|d|w)(?:ec|ecs|econds?|in|ins|inutes?|ours?|ays?|eeks?)?(?:\s+ago)?$/;
const DAY = /^(today|yesterday|\d{4}-\d\d-\d\d)$/;
const TIME = /^(\d{1,2})(?::(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?\s*(am|pm)?$/;

/**
 * A time as people write it, in milliseconds since 1970: `2h`, `10 min ago`, `yesterday`, `3am`, `02:55`,
 * `2026-11-25 03:00`, `yesterday 3am`, ISO 8601. A time without a day is the latest one that is not in the future.
 *
 * @throws {InvalidArgumentError} If it is none.
 */
export function parseWhen(text: string, nowMs: number = Date.now()): number {
  const ms = when(text.trim().toLowerCase(), nowMs);
  if (ms !== undefined && Number.isFinite(ms)) return ms;
  throw new InvalidArgumentError("It must be a time, such as 2h, yesterday, 3am, 02:55 or 2026-11-25T03:00.");
}

function when(text: string, nowMs: number): number | undefined {
  if (text === "now") return nowMs;
  const relative = RELATIVE.exec(text);
  if (relative !== null) return nowMs - Number(relative[1]) * UNIT_MS[relative[2]!]!;
  if (/^\d{4}-\d\d-\d\dt\d\d:\d\d/.test(text)) return Date.parse(text.toUpperCase());
  const [first = "", ...rest] = text.split(/\s+/);
  if (DAY.test(first)) {
    const day = midnight(first, nowMs);
    if (rest.length === 0 || day === undefined) return day?.getTime();
    return atTime(day, rest.join(" "));
  }
  const today = new Date(nowMs);
  const ms = atTime(today, text);
  if (ms === undefined || ms <= nowMs) return ms;
  today.setDate(today.getDate() - 1);
  return atTime(today, text);
}

/** The beginning of a day. */
function midnight(text: string, nowMs: number): Date | undefined {
  const date = new Date(nowMs);
  date.setHours(0, 0, 0, 0);
  if (text === "today") return date;
  if (text === "yesterday") {
    date.setDate(date.getDate() - 1);
    return date;
  }
  const [year, month, day] = text.split("-").map(Number);
  const then = new Date(year!, month! - 1, day!);
  return then.getMonth() === month! - 1 ? then : undefined;
}

/** A time of a day. */
function atTime(day: Date, text: string): number | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, hours, minutes = "0", seconds = "0", fraction = "0", half] = match;
  // A number alone could be anything.
  if (half === undefined && match[2] === undefined) return undefined;
  let hour = Number(hours);
  if (half !== undefined) {
    if (hour < 1 || hour > 12) return undefined;
    hour = hour % 12 + (half === "pm" ? 12 : 0);
  }
  if (hour > 24 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  const date = new Date(day);
  date.setHours(hour, Number(minutes), Number(seconds), Number(fraction.padEnd(3, "0")));
  return date.getTime();
}
