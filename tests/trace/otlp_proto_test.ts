import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { buildTrace, formatOtlp, parseRecording } from "../../lib/trace/mod.ts";
import { testFolder } from "../support/folder.ts";
import { endLine, largeRecording, life, recordingText } from "./sample.ts";

/** The last release of an npm package that has the public .proto files of OTLP in it. */
const PACKAGE = "@opentelemetry/otlp-grpc-exporter-base@0.35.0";
const SERVICE = "opentelemetry/proto/collector/trace/v1/trace_service.proto";
/** A registry that does not answer must not hold up the tests. */
const NPM_MS = 60_000;

/**
 * Parses each line strictly: unknown fields and wrong types are refused. OTLP has ids as hexadecimal digits, where JSON of
 * protobuf has bytes in base64.
 */
const PARSER = `
import base64, json, re, sys
sys.path.insert(0, sys.argv[1])
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
def encoded(pairs):
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ("traceId", "spanId", "parentSpanId") else v for k, v in pairs}
spans = []
for line in open(sys.argv[2], encoding="utf-8"):
    text = json.dumps(json.loads(line, object_pairs_hook=encoded))
    request = json_format.Parse(text, ExportTraceServiceRequest())
    for its in request.resource_spans:
        for scope in its.scope_spans:
            for span in scope.spans:
                assert len(span.trace_id) == 16 and len(span.span_id) == 8
                assert span.start_time_unix_nano <= span.end_time_unix_nano
                spans.append([span.name, span.kind, span.status.code, span.parent_span_id.hex()])
print(json.dumps(spans))
`;

test("the JSON parser of protobuf understands every span", (t) => {
  const python = ["python3", "/usr/bin/python3"].find((path) =>
    spawnSync(path, ["-c", "import google.protobuf.json_format"]).status === 0
  );
  if (python === undefined) return t.skip("no google.protobuf (Debian: python3-protobuf)");
  if (spawnSync("protoc", ["--version"]).status !== 0) {
    return t.skip("no protoc (Debian: protobuf-compiler)");
  }
  const folder = testFolder(t);
  const packed = spawnSync("npm", ["pack", "--silent", PACKAGE], {
    cwd: folder,
    timeout: NPM_MS,
    encoding: "utf8",
  });
  if (packed.status !== 0) return t.skip(`npm cannot fetch ${PACKAGE}, which has the .proto files`);
  const run = (command: string, ...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout;
  };
  run("tar", "xzf", packed.stdout.trim().split("\n").at(-1)!);
  const file = run("find", "package", "-path", `*/${SERVICE}`).trim().split("\n")[0]!;
  const root = file.slice(0, -SERVICE.length - 1);
  const inputs = [
    "common/v1/common",
    "resource/v1/resource",
    "trace/v1/trace",
    "collector/trace/v1/trace_service",
  ]
    .map((name) => join(root, `opentelemetry/proto/${name}.proto`));
  run("protoc", `-I${root}`, "--python_out=.", ...inputs);

  const hostile = ["\udcff", "\x1b[31m", '"}', "\u202e", "a\0b", "\ud800"].flatMap((name, i) =>
    life([i + 2, 1], [i, 900], [name, name], { exitCode: 1, signal: null })
  );
  const lost = { type: "lost", timestampNs: "101000000", sinceNs: "91000000", count: 7 };
  for (
    const recording of [
      largeRecording(2000),
      recordingText([...life([1, 0], [0, 950], ["make"]), ...hostile, lost], endLine(1000)),
    ]
  ) {
    const trace = buildTrace(parseRecording(recording));
    const json = formatOtlp(trace);
    const path = join(folder, "spans.json");
    writeFileSync(path, json);
    const spans = JSON.parse(run(python, "-c", PARSER, folder, path));
    assert.equal(spans.length, trace.processes.length);
    for (const [i, [name, kind, code, parent]] of spans.entries()) {
      const process = trace.processes[i]!;
      const own = process.images.at(-1)!.commandLine![0]!.toWellFormed();
      assert.deepEqual([name, kind, code], [
        own.slice(own.lastIndexOf("/") + 1),
        1,
        process.exitCode === 0 ? 0 : 2,
      ]);
      assert.equal(parent === "", process.parent === undefined);
    }
  }
});
