import assert from "node:assert/strict";
import { test } from "node:test";
import { TimeText } from "../../lib/cli/io/time.ts";
import { formatDuration } from "../../lib/wire/duration.ts";
import { wantsColour } from "../../lib/cli/io/colour.ts";
import { LastSeen } from "../../lib/cli/commands/watch/table.ts";
import { Summary } from "../../lib/cli/commands/watch/summary.ts";
import { cutToWidth, textWidth } from "../../lib/cli/io/text.ts";
import { IdNames } from "../../lib/cli/commands/watch/row.ts";
import { process, SAMPLES } from "./samples.ts";

test("formatDuration() fits in seven columns", () => {
  const cases: readonly (readonly [bigint, string])[] = [
    [-1n, "<10ms"],
    [0n, "0us"],
    [412_600n, "413us"],
    [999_600n, "1.00ms"],
    [4_213_000n, "4.21ms"],
    [12_345_678n, "12.3ms"],
    [999_600_000n, "1.00s"],
    [59_940_000_000n, "59.9s"],
    [99_960_000_000n, "1m40s"],
    [3_599_600_000_000n, "1h00m"],
    [86_399_000_000_000n, "1d00h"],
    [9_000_000_000_000_000n, "104d04h"],
  ];
  for (const [ns, text] of cases) assert.equal(formatDuration(ns), text);
});

test("TimeText writes local time and ISO", () => {
  const times = new TimeText();
  const ms = new Date(2026, 0, 2, 3, 4, 5, 6).getTime();
  assert.equal(times.local(ms), "03:04:05.006");
  assert.equal(times.local(ms + 0.9), "03:04:05.006");
  assert.equal(times.local(ms + 994), "03:04:06.000");
  assert.equal(times.iso(ms), new Date(ms).toISOString());
  assert.equal(times.iso(ms + 995), new Date(ms + 995).toISOString());
});

test("textWidth() and cutToWidth() count columns, not characters", () => {
  assert.equal(textWidth("abc"), 3);
  assert.equal(textWidth("日本"), 4);
  assert.equal(textWidth("e\u0301"), 1);
  assert.equal(textWidth("😀"), 2);
  assert.equal(cutToWidth("abcdef", 6), "abcdef");
  assert.equal(cutToWidth("abcdef", 5), "abcd…");
  assert.equal(cutToWidth("日本語", 5), "日本…");
  assert.equal(cutToWidth("日本語", 4), "日…");
  assert.equal(cutToWidth("😀😀😀", 3), "😀…");
  assert.equal(cutToWidth("abc", 0), "");
  assert.equal(cutToWidth("a".repeat(1 << 20), 3), "aa…");
  assert(cutToWidth("e" + "\u0301".repeat(1000), 10).length <= 41);
});

test("wantsColour() is true for terminals that support it, unless NO_COLOR is set", () => {
  const given = (values: { NO_COLOR?: string; TERM?: string }) => (name: "NO_COLOR" | "TERM") => values[name];
  assert.equal(wantsColour("auto", true, given({})), true);
  assert.equal(wantsColour("auto", true, given({ NO_COLOR: "", TERM: "xterm" })), true);
  assert.equal(wantsColour("auto", true, given({ NO_COLOR: "1" })), false);
  assert.equal(wantsColour("auto", true, given({ TERM: "dumb" })), false);
  assert.equal(wantsColour("auto", false, given({})), false);
  assert.equal(wantsColour("always", false, given({ NO_COLOR: "1", TERM: "dumb" })), true);
  assert.equal(wantsColour("never", true, given({})), false);
});

test("IdNames returns the number if there is no name, and root is root", () => {
  const names = new IdNames(new Map([[5, "a"]]));
  assert.deepEqual([names.name(5), names.name(6), names.name(6), names.name(0)], ["a", "6", "6", "root"]);
});

test("LastSeen remembers a process, but not an earlier one with the same pid", () => {
  const seen = new LastSeen(2);
  const [first, second] = [process({ comm: "a" }), process({ comm: "b" })];
  assert.equal(seen.before({ ...SAMPLES.fork, process: first }), undefined);
  assert.equal(seen.before({ ...SAMPLES.comm, process: second }), first);
  assert.equal(seen.before({ ...SAMPLES.exit, process: second }), second);
  assert.equal(seen.before({ ...SAMPLES.exec, process: first }), undefined);
  assert.equal(seen.before({ ...SAMPLES.fork, process: second }), undefined, "the pid was reused");
  for (const pid of [1, 2]) seen.before({ ...SAMPLES.exec, process: process({ pid }) });
  assert.equal(seen.before({ ...SAMPLES.exec, process: first }), undefined, "only so many are remembered");
  assert.equal(seen.before(SAMPLES.lost), undefined);
});

const atEnd = { nowMs: 3000, queueLeft: false, undecided: 0, untrustedSenders: [] };

test("Summary counts what was written, by row name", () => {
  const summary = new Summary(1000);
  const { fork, thread, exec, exit, threadExit, core, unknown, lost, lostSome } = SAMPLES;
  const events = [fork, fork, thread, exec, exit, threadExit, core, unknown, lost];
  for (const event of events) summary.receive(event);
  summary.write(events.length);
  assert.equal(
    summary.text(atEnd),
    "8 events in 2.0 s (4.0/s): fork 2, thread 1, exec 1, exit 1, thread exit 1, core 1, other 1; 12 lost",
  );
  summary.receive(lostSome);
  assert.match(summary.text(atEnd), /more than 12 lost$/);
  assert.equal(
    new Summary(0).text({ ...atEnd, nowMs: 60_000 }),
    "0 events in 60.0 s (0.0/s); none lost",
  );
  const one = new Summary(0);
  one.receive(exec);
  one.write(1);
  assert.equal(one.text({ ...atEnd, nowMs: 500 }), "1 event in 0.5 s (2.0/s): exec 1; none lost");
});

test("Summary reports what was received but not written, and whether more was queued", () => {
  const summary = new Summary(1000);
  const { exec, exit, lost } = SAMPLES;
  for (const event of [exec, exit, exit, lost]) summary.receive(event);
  summary.write(1);
  assert.equal(
    summary.text(atEnd),
    "1 event in 2.0 s (0.5/s): exec 1; 2 more received but not written: the output was not read; 12 lost",
  );
  assert.match(summary.text({ ...atEnd, queueLeft: true }), /; more were still queued, 12 lost before them$/);
});

test("Summary reports how many events a filter could not match", () => {
  assert.equal(
    new Summary(0).text({ ...atEnd, nowMs: 1000, undecided: 3 }),
    "0 events in 1.0 s (0.0/s); 3 more may match: their process exited before it could be read; none lost",
  );
});

test("Summary reports the senders of forged events, which are not shown", () => {
  const untrustedSenders = [
    { port: 7, count: 3, pid: 4711, comm: "e\x1b[2Jvil" },
    { port: 9, count: 2, pid: undefined, comm: undefined },
    { port: undefined, count: 1, pid: undefined, comm: undefined },
  ];
  assert.equal(
    new Summary(0).text({ ...atEnd, nowMs: 1000, untrustedSenders }),
    "0 events in 1.0 s (0.0/s); none lost; " +
      "3 forged by pid 4711 (e\\x1b[2Jvil), 2 forged by port 9, 1 forged by others: not shown",
  );
});
