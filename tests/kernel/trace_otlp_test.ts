import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { cnctl } from "../support/cnctl.ts";
import { testFolder } from "../support/folder.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { otlpReceiver } from "../support/otlp_receiver.ts";

const skip = await whyNoProcessEvents();
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const PARENT_ID = "b7ad6b7169203331";
const SCRIPT = 'echo "$TRACEPARENT"; /bin/sh -c "exit 3"; kill -KILL $$';

test("cnctl trace sends a span for each process, and the command knows its own", { skip }, async (t) => {
  const receiver = await otlpReceiver(t);
  const recording = join(testFolder(t), "trace");
  const env = {
    ...process.env,
    TRACEPARENT: `00-${TRACE_ID}-${PARENT_ID}-01`,
    OTEL_SERVICE_NAME: "night",
    OTEL_RESOURCE_ATTRIBUTES: "cicd.pipeline.name=a%20b,service.name=day",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20abc",
  };
  const trace = cnctl(
    ["trace", "--report", "none", "-o", recording, "--otlp", receiver.url, "--", "/bin/sh", "-c", SCRIPT],
    { env },
  );
  assert.equal(await trace.ended, 137, trace.said.error);
  const [, traceId, spanId] = trace.said.out.trim().split("-");
  const [root] = receiver.spans;
  assert.deepEqual([traceId, root!.traceId, root!.parentSpanId, root!.spanId], [
    TRACE_ID,
    TRACE_ID,
    PARENT_ID,
    spanId,
  ]);
  const { "service.name": service, "cicd.pipeline.name": pipeline, "cnctl.lost_events": lost } =
    receiver.resource;
  assert.deepEqual([service, pipeline], ["night", "a b"]);
  assert.equal(receiver.requests[0]!.headers.authorization, "Basic abc");
  if (lost === 0) {
    assert.deepEqual(
      receiver.spans.map(({ attributes, status }) => [attributes["error.type"], status?.message]),
      [
        ["SIGKILL", "SIGKILL"],
        ["3", "exit code 3"],
      ],
    );
    assert.equal(receiver.spans[1]!.parentSpanId, root!.spanId);
  }

  // The recording has the same spans, and they can be sent later.
  const first = receiver.spans.splice(0);
  const report = cnctl(["report", recording, "--format", "otlp", "--endpoint", receiver.url], { env });
  assert.equal(await report.ended, 0, report.said.error);
  assert.deepEqual(receiver.spans, first);
  const written = cnctl(["report", recording, "--format", "otlp"], { env });
  assert.equal(await written.ended, 0, written.said.error);
  assert.equal(written.said.out, `${receiver.requests.at(-1)!.body}\n`);
});

test("what cannot be sent changes the status of cnctl report, not of the command", { skip }, async (t) => {
  const refusing = await otlpReceiver(t, [{ status: 403, body: "\x1b[31mgo away" }]);
  const recording = join(testFolder(t), "trace");
  const trace = cnctl(
    ["trace", "--report", "none", "-o", recording, "--otlp", refusing.url, "--", "/bin/sh", "-c", "exit 7"],
  );
  assert.equal(await trace.ended, 7, trace.said.error);
  const why =
    `cnctl: Cannot send spans to ${refusing.url}/v1/traces: it answered 403 Forbidden: \\x1b[31mgo away\n`;
  assert(trace.said.error.includes(why), trace.said.error);
  const send = ["report", recording, "--format", "otlp", "--endpoint"];
  const report = cnctl([...send, refusing.url]);
  assert.equal(await report.ended, 1);
  assert(report.said.error.includes(why), report.said.error);
  const rejecting = await otlpReceiver(t, [{
    status: 200,
    body: '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"\\u001btoo old"}}',
  }]);
  const partial = cnctl([...send, rejecting.url]);
  assert.equal(await partial.ended, 1);
  assert.match(partial.said.error, /^cnctl: The receiver did not take 1 of \d+ spans: \\x1btoo old\n$/m);
  for (
    const [args, message] of [
      [["--endpoint", "nowhere", "--format", "otlp"], /The endpoint must be a URL such as http/],
      [["--endpoint", refusing.url], /--endpoint is for --format otlp/],
      [["--endpoint", refusing.url, "--format", "otlp", "-o", "x"], /cannot be used together/],
    ] as const
  ) {
    const run = cnctl(["report", recording, ...args]);
    assert.equal(await run.ended, 2, args.join(" "));
    assert.match(run.said.error, message);
  }
});
