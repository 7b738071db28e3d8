import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWhen } from "../../lib/cli/commands/history/when.ts";

/** 2026-11-26 14:30, local. */
const NOW = new Date(2026, 10, 26, 14, 30).getTime();

test("times as people write them; a time without a day is the latest that is not in the future", () => {
  const cases: readonly (readonly [string, Date])[] = [
    ["now", new Date(NOW)],
    ["2h", new Date(NOW - 7_200_000)],
    ["10 min ago", new Date(NOW - 600_000)],
    ["1.5d", new Date(NOW - 129_600_000)],
    ["today", new Date(2026, 10, 26)],
    ["yesterday", new Date(2026, 10, 25)],
    ["3am", new Date(2026, 10, 26, 3)],
    ["12am", new Date(2026, 10, 26)],
    ["02:55", new Date(2026, 10, 26, 2, 55)],
    ["23:10:05", new Date(2026, 10, 25, 23, 10, 5)],
    ["Yesterday 3pm", new Date(2026, 10, 25, 15)],
    ["2026-11-01 03:00", new Date(2026, 10, 1, 3)],
    ["2026-11-01T03:00", new Date(2026, 10, 1, 3)],
    ["2026-11-01T03:00:00Z", new Date(Date.UTC(2026, 10, 1, 3))],
  ];
  for (const [text, expected] of cases) assert.equal(parseWhen(text, NOW), expected.getTime(), text);
});

test("what is no time is refused", () => {
  for (
    const text of [
      "",
      "3",
      "25:00",
      "13pm",
      "02:60",
      "2026-02-30",
      "tomorrow",
      "2h h",
      "1e9d",
      "2026-13-01T00:00",
    ]
  ) {
    assert.throws(() => parseWhen(text, NOW), /It must be a time/, text);
  }
});
