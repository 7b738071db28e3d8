import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  buildTrace,
  criticalPath,
  encodePerfetto,
  formatFolded,
  formatMarkdown,
  formatText,
  parallelism,
  parseRecording,
  RecordingError,
  sumByProgram,
  type Trace,
} from "../../lib/trace/mod.ts";
import { endLine, HEADER, life, recordingText } from "./sample.ts";

/** make (0-100 ms) starts cc (10-40) and, when that has ended, cc (40-60) and ld (40-90), which fails. */
const BUILD = [
  ...life([10, 1], [0, 100], ["make"]),
  ...life([11, 10], [10, 40], ["/usr/bin/cc", "-c", "a.c"], {
    usage: { cpuNs: 25e6, peakRssBytes: 2 ** 20, readBytes: 0, writeBytes: 4096 },
  }),
  ...life([12, 10], [40, 60], ["/usr/bin/cc", "-c", "b.c"]),
  ...life([13, 10], [40, 90], ["ld", "-o", "a b"], { exitCode: 2 }),
];

function traceOf(events = BUILD, end: object | undefined = endLine(100)): Trace {
  return buildTrace(parseRecording(recordingText(events, end)));
}

test("a recording becomes a tree of processes with their programs", () => {
  const { processes, durationNs, complete, status } = traceOf();
  assert.deepEqual(processes.map(({ pid }) => pid), [10, 11, 12, 13]);
  assert.deepEqual([durationNs, complete, status], [100e6, true, 0]);
  const [make, cc, , ld] = processes;
  assert.deepEqual(make!.children, processes.slice(1));
  assert.equal(cc!.parent, make);
  assert.deepEqual(cc!.images.map(({ forked }) => forked), [true, false]);
  assert.deepEqual([cc!.startNs, cc!.endNs, cc!.usage?.cpuNs], [10e6, 40e6, 25e6]);
  assert.deepEqual([ld!.exitCode, ld!.signal, ld!.running], [2, null, false]);
});

test("the critical path goes through the children that ended last", () => {
  const steps = criticalPath(traceOf()).map((
    { process, startNs, endNs },
  ) => [process.pid, startNs / 1e6, endNs / 1e6]);
  assert.deepEqual(steps, [[10, 0, 10], [11, 10, 40], [13, 40, 90], [10, 90, 100]]);
});

test("the critical path has no gap and no overlap, whatever the tree", () => {
  const processes = fc.array(fc.tuple(fc.nat(9), fc.nat(90), fc.integer({ min: 1, max: 99 })), {
    maxLength: 12,
  });
  fc.assert(fc.property(processes, (list) => {
    const events = life([100, 1], [0, 100], ["root"]);
    for (const [i, [parent, start, length]] of list.entries()) {
      const parentPid = i === 0 ? 100 : 101 + parent % i;
      events.push(...life([101 + i, parentPid], [start, Math.min(99, start + length)], ["x"]));
    }
    let at = 0;
    for (const { startNs, endNs } of criticalPath(traceOf(events))) {
      assert.equal(startNs, at);
      assert(endNs > startNs);
      at = endNs;
    }
    assert.equal(at, 100e6);
  }));
});

test("parallelism counts processes without running children", () => {
  const [none = 0, one, two] = parallelism(traceOf());
  assert.deepEqual([none, one, two].map((ns) => ns! / 1e6), [0, 80, 20]);
});

test("programs are summed up by name", () => {
  const cc = sumByProgram(traceOf()).find(({ name }) => name === "cc")!;
  assert.deepEqual([cc.runs, cc.failed, cc.totalNs, cc.longestNs, cc.cpuNs], [2, 0, 50e6, 30e6, 25e6]);
});

test("a recording that is cut is reported as far as it goes", () => {
  const text = recordingText(BUILD, endLine(100));
  const cut = parseRecording(text.slice(0, text.indexOf('"type":"end"') - 40));
  assert.equal(cut.end, undefined);
  const trace = buildTrace(cut);
  assert.equal(trace.complete, false);
  assert.match(formatText(trace), /The recording was cut/);
  assert.match(formatMarkdown(trace), /The recording was cut/);
});

test("what is no recording is refused with the reason", () => {
  const refused = (text: string, why: RegExp): void =>
    assert.throws(
      () => parseRecording(text),
      (error) => error instanceof RecordingError && why.test(error.message),
    );
  refused("", /it is empty/);
  refused("\x7fELF", /not that of a trace/);
  refused('{"type":"exec"}\n', /not that of a trace/);
  refused(JSON.stringify({ ...HEADER, version: 2 }), /of version 2, and this program reads 1: update it/);
  refused(JSON.stringify({ ...HEADER, command: [1] }), /incomplete/);
  refused(JSON.stringify({ ...HEADER, timestampNs: "x" }), /incomplete/);
});

test("any text is read, or refused with a RecordingError", () => {
  const line = fc.oneof(
    fc.json(),
    fc.string(),
    fc.constantFrom(...recordingText(BUILD, endLine(9)).split("\n")),
  );
  fc.assert(fc.property(fc.array(line), (lines) => {
    try {
      const trace = buildTrace(parseRecording(lines.join("\n")));
      formatText(trace);
      formatMarkdown(trace);
      formatFolded(trace);
      encodePerfetto(trace);
    } catch (error) {
      assert(error instanceof RecordingError, String(error));
    }
  }));
});

test("losses mark what ran then", () => {
  const lost = { type: "lost", timestampNs: String(51_000_000), count: 5 };
  const trace = traceOf([...BUILD, lost]);
  assert.deepEqual(trace.processes.map(({ uncertain }) => uncertain), [true, false, true, true]);
  assert.match(formatText(trace), /Lost after 50\.0ms: 5 events/);
  assert.match(formatText(trace), /~ ld -o 'a b'/);
});

test("the text has totals, the path, programs, failures and findings", () => {
  const text = formatText(traceOf());
  assert.match(text, /^make: 4 processes in 100ms, 1 failed, exit status 0\n/);
  assert.match(text, /Critical path\n {2}50\.0ms {2}50% {2}ld -o 'a b'\n/);
  assert.match(text, /Failures\n {2}2 {2}50\.0ms {2}ld -o 'a b'\n/);
});

test("hostile names reach no report as they are", () => {
  const name = "</script>\x1b[2J;|`x`\n<img>";
  const trace = traceOf(life([10, 1], [0, 100], [name, name], { exitCode: 1 }));
  for (const report of [formatText(trace), formatMarkdown(trace), formatFolded(trace)]) {
    assert(!report.includes("\x1b"));
  }
  const markdown = formatMarkdown(trace);
  assert.doesNotMatch(markdown, /<img>|<\/script>|`/);
  for (const line of markdown.split("\n").filter((line) => line.startsWith("| <code>"))) {
    assert.equal(line.split("|").length, 9, line);
  }
  assert.match(formatFolded(trace), /^[^;\s]+ \d+\n$/);
});

test("folded stacks add up the CPU time of each chain of programs", () => {
  assert.equal(formatFolded(traceOf()), "make;cc 25000\n");
  const wall = formatFolded(
    traceOf([...life([10, 1], [0, 100], ["make"]), ...life([12, 10], [40, 60], ["cc"])]),
  );
  assert.equal(wall, "make 100000\nmake;cc 20000\n");
});
