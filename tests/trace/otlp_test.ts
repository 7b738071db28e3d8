import assert from "node:assert/strict";
import { test } from "node:test";
import { exportOtlp, formatOtlp, redactRecording } from "../../lib/trace/mod.ts";
import { buildTrace, parseRecording, type RecordedEvent, type Trace } from "../../lib/trace/mod.ts";
import { parseTraceParent, SpanIds } from "../../lib/trace/trace_context.ts";
import { otlpReceiver, readSpans } from "../support/otlp_receiver.ts";
import { endLine, HEADER, largeRecording, life, recordingText, traceOf } from "./sample.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";

const FAILED = life([2, 1], [10, 300], ["/usr/bin/cc", "--password", "hunter2"], {
  exitCode: null,
  signal: "SIGSEGV",
  coreDumped: true,
  usage: { cpuNs: 5e8, peakRssBytes: 4096, readBytes: 1, writeBytes: 2 },
});
const EVENTS: readonly RecordedEvent[] = [
  ...life([1, 0], [0, 900], ["make"], { exitCode: 2 }),
  ...FAILED,
  ...life([3, 1], [400, 500], ["ls"]),
  { type: "exec", timestampNs: "451000000", pid: 3, process: { exe: "/opt/bin/last", cwd: "/tmp" } },
];

function spansOf(trace: Trace): ReturnType<typeof readSpans>["spans"] {
  return formatOtlp(trace).trimEnd().split("\n").flatMap((line) => readSpans(line).spans);
}

test("a span has what the conventions for CLI programs want", () => {
  const [make, cc, last] = spansOf(traceOf(EVENTS));
  assert.deepEqual(cc, {
    traceId: make!.traceId,
    spanId: cc!.spanId,
    parentSpanId: make!.spanId,
    name: "cc",
    kind: 1,
    startTimeUnixNano: "1700000000010000000",
    endTimeUnixNano: "1700000000300000000",
    attributes: {
      "process.executable.name": "cc",
      "process.command_args": ["/usr/bin/cc", "--password", "[hidden]"],
      "process.pid": 2,
      "process.parent_pid": 1,
      "error.type": "SIGSEGV",
      "cnctl.cpu_ns": 5e8,
      "cnctl.peak_rss_bytes": 4096,
      "cnctl.read_bytes": 1,
      "cnctl.write_bytes": 2,
      "cnctl.core_dumped": true,
    },
    events: [],
    status: { code: 2, message: "SIGSEGV, core dumped" },
  });
  assert.deepEqual([make!.attributes["process.exit.code"], make!.attributes["error.type"], make!.status], [
    2,
    "2",
    { code: 2, message: "exit code 2" },
  ]);
  assert.equal(make!.parentSpanId, undefined);
  assert.deepEqual([last!.name, last!.status, last!.attributes["process.executable.path"]], [
    "last",
    undefined,
    "/opt/bin/last",
  ]);
  assert.deepEqual(
    last!.events.map(({ name, attributes }) => [name, attributes["process.executable.name"]]),
    [
      ["exec", "ls"],
      ["exec", "last"],
    ],
  );
  assert.deepEqual(
    [make, cc, last].map((span) => /^[\da-f]{32} [\da-f]{16}$/.test(`${span!.traceId} ${span!.spanId}`)),
    [
      true,
      true,
      true,
    ],
  );
});

test("ids are the same each time, other ones for another recording, and all different", () => {
  const ids = (trace: Trace): string[] => spansOf(trace).map(({ traceId, spanId }) => `${traceId} ${spanId}`);
  const text = recordingText(EVENTS, endLine(1000));
  const trace = buildTrace(parseRecording(text));
  assert.deepEqual(ids(trace), ids(buildTrace(redactRecording(parseRecording(text)))));
  const large = ids(buildTrace(parseRecording(largeRecording(600))));
  assert.equal(new Set(large).size, large.length);
  const other = ids({ ...trace, header: { ...HEADER, timestampNs: "1000001" } });
  assert(other.every((id) => !large.includes(id)));
});

test("TRACEPARENT is the parent of what has none, and of the command's own spans", () => {
  const header = { ...HEADER, traceParent: `00-${TRACE_ID}-${PARENT_ID}-01` };
  const trace = { ...traceOf(EVENTS), header };
  const [make, cc] = spansOf(trace);
  assert.deepEqual([make!.traceId, make!.parentSpanId, cc!.traceId, cc!.parentSpanId], [
    TRACE_ID,
    PARENT_ID,
    TRACE_ID,
    make!.spanId,
  ]);
  assert.equal(new SpanIds(header).traceParent(), `00-${TRACE_ID}-${make!.spanId}-01`);
  const unsampled = { ...header, traceParent: `00-${TRACE_ID}-${PARENT_ID}-00` };
  assert.match(new SpanIds(unsampled).traceParent(), /-00$/);
  assert.match(new SpanIds(HEADER).traceParent(), /^00-[\da-f]{32}-[\da-f]{16}-01$/);
  for (
    const [text, valid] of [
      [`00-${TRACE_ID}-${PARENT_ID}-01`, true],
      [` 00-${TRACE_ID}-${PARENT_ID}-03 `, true],
      [`cc-${TRACE_ID}-${PARENT_ID}-01-what-comes-later`, true],
      [`00-${TRACE_ID}-${PARENT_ID}-01-more`, false],
      [`ff-${TRACE_ID}-${PARENT_ID}-01`, false],
      [`00-${"0".repeat(32)}-${PARENT_ID}-01`, false],
      [`00-${TRACE_ID}-${"0".repeat(16)}-01`, false],
      [`00-${TRACE_ID.toUpperCase()}-${PARENT_ID}-01`, false],
      ["", false],
      [undefined, false],
    ] as const
  ) assert.equal(parseTraceParent(text) !== undefined, valid, String(text));
});

test("losses, a cut recording and unknown ends are visible", () => {
  const lost = { type: "lost", timestampNs: "101000000", sinceNs: "91000000", count: 7 };
  const trace = traceOf(
    [...EVENTS, lost, ...life([9, 1], [600, 2000], ["later"])].filter((event) =>
      !(event.type === "exit" && (event as RecordedEvent).pid === 9)
    ),
    null as never,
  );
  const { resource, spans } = readSpans(formatOtlp(trace));
  assert.deepEqual(
    [resource["cnctl.losses"], resource["cnctl.lost_events"], resource["cnctl.recording_complete"]],
    [1, 7, false],
  );
  const [make, cc, ls, later] = spans;
  assert.deepEqual([make, cc, ls, later].map((span) => span!.attributes["cnctl.uncertain"]), [
    true,
    true,
    undefined,
    undefined,
  ]);
  assert.deepEqual(make!.events, [{
    timeUnixNano: "1700000000100000000",
    name: "events lost",
    attributes: { "cnctl.lost_events": 7, "cnctl.lost_within_ns": 10_000_000 },
  }]);
  assert.equal(later!.attributes["cnctl.end_unknown"], true);
});

test("hostile names and numbers leave JSON that everybody can read", () => {
  const names = ["\udcff\udcfe", "\x1b]0;x\x07", '"}]}', "\u202e", "a\0b", "\ud800"];
  const trace = traceOf([
    ...names.flatMap((name, i) => life([i + 1, 0], [i, 900], [name], { exitCode: 1e300, signal: name })),
  ]);
  const json = formatOtlp(trace);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(json, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  assert.doesNotMatch(json, /\\ud[89a-f]/i);
  assert.deepEqual(spansOf(trace).map(({ name }) => name), names.map((name) => name.toWellFormed()));
  // Times that do not fit into 64 bits.
  const [span] = JSON.parse(
    formatOtlp({
      ...trace,
      header: { ...HEADER, timeMs: 9e12 },
      processes: [{ ...trace.processes[0]!, endNs: 9.9e18 }],
    }),
  )
    .resourceSpans[0].scopeSpans[0].spans;
  assert.equal(span.endTimeUnixNano, String(2n ** 64n - 1n));
  assert.throws(
    () => parseRecording(JSON.stringify({ ...HEADER, timeMs: 1e305 })),
    /its first line is incomplete/,
  );
});

test("spans are sent in parts, each once, with the headers that were given", async (t) => {
  const receiver = await otlpReceiver(t);
  const trace = buildTrace(parseRecording(largeRecording(2000)));
  const result = await exportOtlp(trace, `${receiver.url}/prefix/`, {
    headers: { authorization: "Bearer abc" },
    resource: { "service.name": "build" },
  });
  assert.deepEqual(result, { spans: trace.processes.length, rejected: 0, message: undefined });
  assert.deepEqual(
    receiver.spans.map(({ spanId }) => spanId),
    spansOf(trace).map(({ spanId }) => spanId),
  );
  assert(receiver.requests.length > 3 && receiver.requests.every(({ body }) => body.length < 2 ** 20));
  for (const { path, headers } of receiver.requests) {
    assert.deepEqual([path, headers["content-type"], headers.authorization], [
      "/prefix/v1/traces",
      "application/json",
      "Bearer abc",
    ]);
  }
  assert.equal(receiver.resource["service.name"], "build");
});

test("a busy receiver is tried again when it says so, and otherwise after a pause", async (t) => {
  for (const status of [429, 502, 503, 504]) {
    const receiver = await otlpReceiver(t, [
      { status, headers: { "retry-after": "0" } },
      { status, headers: { "retry-after": new Date(0).toUTCString() } },
      { status: 200 },
    ]);
    const pauses: number[] = [];
    const onRetry = (reason: string, pauseMs: number): void => {
      assert.match(reason, new RegExp(`^it answered ${status}`));
      pauses.push(pauseMs);
    };
    await exportOtlp(traceOf(EVENTS), receiver.url, { onRetry });
    assert.deepEqual([receiver.requests.length, receiver.spans.length, pauses], [3, 3, [0, 0]]);
  }
  const receiver = await otlpReceiver(t, [{ status: 503 }, { status: 200, body: "{}" }]);
  const pauses: number[] = [];
  await exportOtlp(traceOf(EVENTS), receiver.url, { onRetry: (_, pauseMs) => pauses.push(pauseMs) });
  assert(pauses.length === 1 && pauses[0]! >= 800 && pauses[0]! <= 1200, String(pauses));
  assert.equal(receiver.spans.length, 3);
});

test("what cannot be sent is an error that says why", async (t) => {
  const trace = traceOf(EVENTS);
  const busy = await otlpReceiver(t, [{ status: 503, headers: { "retry-after": "0" } }]);
  await assert.rejects(exportOtlp(trace, busy.url), {
    message: `Cannot send spans to ${busy.url}/v1/traces: it answered 503 Service Unavailable`,
  });
  assert.equal(busy.requests.length, 6);
  const patient = await otlpReceiver(t, [{ status: 429, headers: { "retry-after": "3600" } }]);
  await assert.rejects(exportOtlp(trace, patient.url), /it answered 429 Too Many Requests$/);
  const refusing = await otlpReceiver(t, [{ status: 200 }, {
    status: 401,
    body: "who are you?\n" + "x".repeat(1e6),
  }]);
  const large = buildTrace(parseRecording(largeRecording(600)));
  await assert.rejects(
    exportOtlp(large, `${refusing.url}/?key=secret`),
    (error: Error) =>
      /: it answered 401 Unauthorized: who are you\?\nx+; 512 of 598 spans were sent$/.test(error.message) &&
      !error.message.includes("secret") && error.message.length < 400,
  );
  assert.equal(refusing.requests.length, 2);
  const moved = await otlpReceiver(t, [{ status: 307, headers: { location: busy.url } }]);
  await assert.rejects(exportOtlp(trace, moved.url), /it answered 307/);
  for (const endpoint of ["", "localhost:4318", "ftp://localhost", "http://"]) {
    await assert.rejects(
      exportOtlp(trace, endpoint),
      /^TypeError: .* the endpoint must be a URL such as/,
      endpoint,
    );
  }
  await assert.rejects(exportOtlp(trace, "http://me:pass@localhost"), /the endpoint must have no user name/);
  await assert.rejects(exportOtlp(trace, busy.url, { timeoutMs: 0 }), RangeError);
});

test("a receiver that cannot be reached is tried again until the signal is aborted", async (t) => {
  const gone = await otlpReceiver(t);
  const server = gone.url; // its port is taken, and nobody answers on the next one up: a refused connection is enough
  const abort = new AbortController();
  const reasons: string[] = [];
  await assert.rejects(
    exportOtlp(traceOf(EVENTS), server.replace(/:\d+$/, ":1"), {
      signal: abort.signal,
      onRetry(reason) {
        reasons.push(reason);
        abort.abort(new Error("enough"));
      },
    }),
    /^Error: enough$/,
  );
  assert.match(reasons.join(), /^it cannot be reached: /);
});

test("an answer that does not come is waited for only so long", async (t) => {
  const silent = await otlpReceiver(t, [{ status: 0 }]);
  const abort = new AbortController();
  await assert.rejects(
    exportOtlp(traceOf(EVENTS), silent.url, {
      timeoutMs: 50,
      signal: abort.signal,
      onRetry: (reason) => abort.abort(new Error(reason)),
    }),
    /^Error: no answer within 50 ms$/,
  );
});

test("spans that the receiver does not take are counted, and not sent again", async (t) => {
  const receiver = await otlpReceiver(t, [{
    status: 200,
    body: JSON.stringify({ partialSuccess: { rejectedSpans: "2", errorMessage: "too old" } }),
  }]);
  assert.deepEqual(await exportOtlp(traceOf(EVENTS), receiver.url), {
    spans: 3,
    rejected: 2,
    message: "too old",
  });
  assert.equal(receiver.requests.length, 1);
});
