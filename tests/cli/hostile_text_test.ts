import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "node:test";
import { TimeText } from "../../lib/cli/io/time.ts";
import { formatRow, layoutFor } from "../../lib/cli/commands/watch/table.ts";
import { errorText } from "../../lib/cli/errors.ts";
import { jsonText } from "../../lib/wire/json_text.ts";
import { eventJson } from "../../lib/cli/commands/watch/watch.ts";
import type { ProcessEvent } from "../../mod.ts";
import { IdNames, RowMaker } from "../../lib/cli/commands/watch/row.ts";
import { safeSentence, safeText } from "../../lib/wire/escape.ts";
import { decodeText, encodeText } from "../../lib/wire/text.ts";
import { NAMES, noonClock, process, SAMPLES } from "./samples.ts";

/** What a terminal might interpret: control and format characters, lone surrogates, separators. */
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

/** Bytes that a program may put into its name: anything, and often something harmful. */
const hostileBytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.array(
    fc.constantFrom(
      "\x1b[2J",
      "\x1b]0;x\x07",
      "\r",
      "\n",
      "\t",
      "\x7f",
      "\u0085",
      "\u009b",
      "\u00ad",
      "\u061c",
      "\u200b",
      "\u202e",
      "\u2028",
      "\u2066",
      "\ufeff",
      "\ufff9",
      "\u{e0041}",
      "\u{1d173}",
      "a",
      "'",
      "\\",
      "é",
      "日本",
      "e\u0301",
      "😀",
    ),
    { maxLength: 12 },
  ).map((parts) => encodeText(parts.join(""))),
).map((bytes) => bytes.filter((byte) => byte !== 0));
const hostile = hostileBytes.map((bytes) => decodeText(bytes));

/** The width of a line in columns, as Bun counts it, or a lower bound. */
function leastWidth(line: string): number {
  const { Bun } = globalThis as { Bun?: { stringWidth(text: string): number } };
  return Bun?.stringWidth(line) ?? [...line.replace(/[\p{Mn}\p{Me}]/gu, "")].length;
}

/** Every type of event, with hostile names. */
const hostileEvent = fc.record({
  sample: fc.constantFrom(...Object.values(SAMPLES) as ProcessEvent[]),
  comm: fc.option(hostile, { nil: undefined }),
  commandLine: fc.option(fc.array(hostile, { maxLength: 5 }), { nil: undefined }),
  text: hostile,
  kernelThread: fc.boolean(),
}).map(({ sample, comm, commandLine, text, kernelThread }): ProcessEvent => {
  const info = process({ comm, commandLine, exe: text, cgroup: text, kernelThread });
  if (sample.type === "comm") return { ...sample, comm: text, process: info };
  return sample.process === undefined ? sample : { ...sample, process: info };
});

test("a row is safe for a terminal, and fits", () => {
  const rows = new RowMaker({ clock: noonClock(), times: new TimeText(), users: NAMES, groups: NAMES });
  fc.assert(
    fc.property(hostileEvent, hostile, fc.constantFrom(undefined, 20, 60, 80, 200), (event, name, width) => {
      const line = formatRow(rows.make(event, process({ comm: name })), layoutFor(width));
      assert.doesNotMatch(line, OBEYED);
      if (width !== undefined) assert(leastWidth(line) <= width, line);
    }),
    { numRuns: 2000 },
  );
});

test("a line of JSON is safe for a terminal, and parses back to the same bytes", () => {
  fc.assert(
    fc.property(hostileEvent, (event) => {
      const line = eventJson(event, noonClock(), new TimeText());
      assert.doesNotMatch(line.slice(0, -1), OBEYED);
      const parsed = JSON.parse(line);
      const { process } = event;
      if (process === undefined) return;
      assert.equal(parsed.process.comm, process.comm ?? null);
      assert.deepEqual(parsed.process.commandLine, process.commandLine ?? null);
      assert.deepEqual(parsed.process.exe, process.exe);
      if (event.type === "comm") assert.equal(parsed.comm, event.comm);
    }),
    { numRuns: 1000 },
  );
});

test("jsonText() keeps every byte", () => {
  fc.assert(fc.property(hostileBytes, (bytes) => {
    const back = encodeText(JSON.parse(jsonText(decodeText(bytes))));
    assert.deepEqual([...back], [...bytes]);
  }));
});

test("safeText() escapes unsafe characters, and nothing else", () => {
  assert.equal(safeText("Web Content"), "Web Content");
  assert.equal(safeText("naïve 日本 😀"), "naïve 日本 😀");
  assert.equal(safeText("a\x1b[31mb"), "a\\x1b[31mb");
  assert.equal(safeText("a\nb\tc\rd\x7f"), "a\\nb\\tc\\rd\\x7f");
  assert.equal(safeText("\udcff"), "\\xff", "a byte that is not UTF-8");
  assert.equal(safeText("\u0085\u202e\u2028"), "\\u0085\\u202e\\u2028");
  assert.equal(safeText("\u{e0041}"), "\\U000e0041");
  assert.equal(safeText("a\\x1b"), "a\\\\x1b", "a backslash in the name differs from an escape");
  fc.assert(fc.property(hostile, (text) => assert.doesNotMatch(safeText(text), OBEYED)));
  fc.assert(fc.property(hostile, hostile, (a, b) => assert.equal(safeText(a) === safeText(b), a === b)));
});

test("safeSentence() keeps backslashes", () => {
  assert.equal(safeSentence("C:\\a\x07"), "C:\\a\\x07");
});

test("names of users are safe", () => {
  const names = new IdNames(new Map([[7, "ev\x1b[2Jil"]]));
  assert.equal(names.name(7), "ev\\x1b[2Jil");
});

test("errorText() is one safe line, and more with CONNECTOR_DEBUG", () => {
  const error = new Error("Cannot do\x1b[2J it\nat all", { cause: new Error("why\x07") });
  assert.equal(errorText(error, false), "cnctl: Cannot do\\x1b[2J it\\nat all\n");
  const all = errorText(error, true);
  assert.match(all, /hostile_text_test/);
  assert.match(all, /^caused by: .*why\\x07/m);
  assert.doesNotMatch(all.replaceAll("\n", ""), OBEYED);
  assert.equal(errorText("plain", false), "cnctl: plain\n");
});

test("an error is shown, not that something could not be closed after it", () => {
  const error = Object.assign(new Error("An error was suppressed during disposal"), {
    name: "SuppressedError",
    error: new Error("Cannot close it"),
    suppressed: new Error("Cannot write it: the disk is full"),
  });
  assert.equal(errorText(error, false), "cnctl: Cannot write it: the disk is full\n");
  assert.equal(errorText(undefined, false), "cnctl: undefined\n");
});
