import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  buildTrace,
  diffTraces,
  formatDiff,
  formatFolded,
  formatJson,
  formatMarkdown,
  formatText,
  parseRecording,
  readTrace,
  redactArguments,
  redactRecording,
} from "../../lib/trace/mod.ts";
import { endLine, HEADER, life, recordingText, traceOf } from "./sample.ts";

const BUILD = [
  ...life([10, 1], [0, 100], ["make"]),
  ...life([11, 10], [10, 40], ["cc", "a.c"]),
  ...life([12, 10], [40, 60], ["cc", "b.c"], { exitCode: 2 }),
];
const LOST = { type: "lost", timestampNs: "51000000", sinceNs: "46000000", count: 5 };

test("JSON has the processes by number, and what the other reports sum up", () => {
  const json = JSON.parse(formatJson(traceOf([...BUILD, LOST])));
  assert.deepEqual(json.processes.map(({ pid, parent }: Record<string, unknown>) => [pid, parent]), [
    [10, null],
    [11, 0],
    [12, 0],
  ]);
  assert.deepEqual(json.losses, [{ sinceNs: 45e6, ns: 50e6, count: 5 }]);
  assert.deepEqual(json.processes.map(({ uncertain }: Record<string, unknown>) => uncertain), [
    true,
    false,
    true,
  ]);
  assert.equal(json.header.command[0], "make");
  assert.equal(json.programs.find(({ name }: Record<string, unknown>) => name === "cc").runs, 2);
  assert.deepEqual(json.criticalPath.map(({ process }: Record<string, unknown>) => process), [0, 1, 2, 0]);
  assert.equal(json.complete, true);
  assert.deepEqual(JSON.parse(formatJson(traceOf([]))).processes, []);
});

test("every text format shows a loss, and marks what it touches", () => {
  const trace = traceOf([...BUILD, LOST]);
  assert.match(formatText(trace), /Lost after 50\.0ms: 5 events/);
  assert.match(formatText(trace), /Programs\n[^]* ~ cc\n/);
  assert.match(formatMarkdown(trace), /Events were lost[^]*\| ~ <code>cc<\/code> \|[^]*\| 2 \| ~ 20\.0ms \|/);
  assert.match(formatFolded(trace), /^~make;cc 30000$/m);
  assert.match(formatFolded(trace), /^~make;~cc 20000$/m);
  assert.match(formatFolded(trace), /^\(events were lost/m);
  assert.match(formatDiff(diffTraces(traceOf(BUILD), trace)), /Lost after/);
  assert.match(
    formatFolded(buildTrace(parseRecording(recordingText(BUILD, undefined)))),
    /^\(the recording was cut\) 1$/m,
  );
  for (const report of [formatText, formatMarkdown, formatFolded]) {
    assert.doesNotMatch(report(traceOf(BUILD)), /~|[Ll]ost/);
  }
});

test("only what lived in the period of a loss is uncertain, whatever the losses", () => {
  const times = fc.tuple(fc.nat(95), fc.nat(10)).map(([start, length]) => [start, start + length] as const);
  fc.assert(
    fc.property(fc.array(times, { maxLength: 8 }), fc.array(times, { maxLength: 6 }), (lives, losses) => {
      const events = life([100, 1], [200, 300], ["after"]);
      for (const [i, period] of lives.entries()) events.push(...life([101 + i, 1], period, [`p${i}`]));
      for (const [sinceMs, ms] of losses) {
        const [sinceNs, timestampNs] = [sinceMs, ms].map((each) => String(1e6 + each * 1e6));
        events.push({ type: "lost", sinceNs, timestampNs, count: 1 });
      }
      const { processes } = traceOf(events, endLine(300));
      for (const [i, [start, end]] of lives.entries()) {
        const touched = losses.some(([sinceMs, ms]) => start <= ms && sinceMs <= end);
        assert.equal(processes.find(({ pid }) => pid === 101 + i)!.uncertain, touched);
      }
    }),
  );
});

test("many losses take few lines", () => {
  const losses = Array.from({ length: 1000 }, (_, i) => ({ ...LOST, timestampNs: String(2e6 + i) }));
  assert.match(formatText(traceOf([...BUILD, ...losses])), /and at 995 more times\n/);
});

test("a comparison has what is slower, new, gone, and fails now", () => {
  const after = [
    ...life([10, 1], [0, 190], ["make"]),
    ...life([11, 10], [10, 100], ["cc", "a.c"], { exitCode: 1 }),
    ...life([13, 10], [100, 150], ["ld", "-o", "/tmp/ccX1y2.o"]),
  ];
  const before = [...BUILD, ...life([13, 10], [60, 95], ["ld", "-o", "/tmp/ccZ9.o"])];
  const diff = diffTraces(traceOf(before, endLine(100)), traceOf(after, endLine(190)));
  const of = (name: string) => diff.commands.find((row) => row.name === name)!;
  assert.equal(of("cc a.c").changeNs, 60e6);
  assert.equal(of("cc b.c").after, undefined);
  assert.equal(of("ld -o /tmp/*").changeNs, 15e6);
  assert.deepEqual(diff.programs.map(({ name, changeNs }) => [name, changeNs / 1e6]), [
    ["make", 90],
    ["cc", 40],
    ["ld", 15],
  ]);
  const text = formatDiff(diff);
  assert.match(text, /100ms -> 190ms, \+90\.0ms\n/);
  assert.match(text, /Slower\n {2}\+60\.0ms {2}30\.0ms -> 90\.0ms {2}cc a\.c\n/);
  assert.match(text, /Gone\n {2}-20\.0ms +20\.0ms -> - {2}cc b\.c\n/);
  assert.match(text, /Fail now\n {2}\+60\.0ms .*cc a\.c\n/);
});

test("secrets are hidden where their names give them away", () => {
  for (
    const [argument, expected] of [
      ["--password=hunter2", "--password=[hidden]"],
      ["DB_PASSWORD=hunter2", "DB_PASSWORD=[hidden]"],
      ['{"clientSecret": "hunter2", "n": 1}', '{"clientSecret": [hidden], "n": 1}'],
      ["-HAuthorization: Bearer hunter2", "-HAuthorization: [hidden]"],
      ["https://me:hunter2@example.org/x", "https://[hidden]@example.org/x"],
      ["postgres://hunter2@db/x?sslmode=1", "postgres://[hidden]@db/x?sslmode=1"],
      ["https://example.org/?access_token=hunter2&n=1", "https://example.org/?access_token=[hidden]&n=1"],
      ["//registry.example/:_authToken=hunter2", "//registry.example/:_authToken=[hidden]"],
      ["export TOKEN='a b'; make", "export TOKEN=[hidden]; make"],
      ["curl --token hunter2 -v", "curl --token [hidden] -v"],
      [`x ghp_${"a1".repeat(18)} y`, "x [hidden] y"],
    ] as const
  ) assert.deepEqual(redactArguments(["x", argument]), ["x", expected]);
  for (const harmless of ["https://example.org/a@b", "-o", "passes", "src/token.ts", "a=b", "PATH=/bin:/x"]) {
    assert.deepEqual(redactArguments([harmless, harmless]), [harmless, harmless]);
  }
  assert.deepEqual(redactArguments(["x", "--api-key", "k", "--secret", "-v"]), [
    "x",
    "--api-key",
    "[hidden]",
    "--secret",
    "-v",
  ]);
});

test("a recording is redacted in its header and its events", () => {
  const text = recordingText(life([10, 1], [0, 100], ["curl", "--token=t0ps"]), endLine(100))
    .replace('"make"', '"curl","--token=t0ps"');
  const recording = parseRecording(text);
  assert.deepEqual(recording.header.command, ["curl", "--token=t0ps"]);
  const trace = buildTrace(redactRecording(recording));
  assert.deepEqual(readTrace(text, true), trace);
  for (const report of [formatText(trace), formatMarkdown(trace), formatJson(trace)]) {
    assert(!report.includes("t0ps") && report.includes("hidden"), report);
  }
});

test("arguments that are made to be slow are redacted in linear time", () => {
  const parts = ["a", "-", " ", "=", "token", "token=", "a.", "eyJ-", "http://", "Bearer ", '"', "password"];
  for (const part of parts) {
    const argument = part.repeat(Math.ceil(16_384 / part.length));
    const startMs = performance.now();
    redactArguments([argument, argument]);
    const tookMs = performance.now() - startMs;
    // Quadratic, it takes longer than this even on a fast machine: 16,384 squared are 2.7e8 steps.
    assert(tookMs < 5000, `${part}: ${tookMs} ms`);
  }
});

test("a file is read like text, wherever its blocks end", () => {
  const long = "ü".repeat(400_000);
  const text = recordingText([
    ...life([10, 1], [0, 100], ["make", long]),
    ...life([11, 1], [0, 100], ["make", `${long}b`]),
    ...Array.from({ length: 5000 }, (_, i) => life([100 + i, 10], [10, 20], ["cc", String(i)])).flat(),
  ], endLine(100));
  const [fromText, fromBytes] = [parseRecording(text), parseRecording(new TextEncoder().encode(text))];
  assert.equal(fromBytes.events.length, 15_006);
  assert.deepEqual(fromBytes, fromText);
  assert.throws(() => parseRecording(new Uint8Array()), /it is empty/);
  assert.equal(parseRecording(new TextEncoder().encode(JSON.stringify(HEADER))).end, undefined);
});

test("hostile names reach no JSON and no comparison as they are", () => {
  const name = "</script>\x1b[2J;|`x`\n\u202e<img>";
  const trace = traceOf(life([10, 1], [0, 100], [name, name], { exitCode: 1 }));
  for (const report of [formatJson(trace), formatDiff(diffTraces(traceOf([]), trace))]) {
    assert(!report.includes("\x1b") && !report.includes("\u202e"));
  }
  assert.equal(JSON.parse(formatJson(trace)).processes[0].images[1].commandLine[0], name);
});
