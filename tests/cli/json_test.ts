import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TimeText } from "../../lib/cli/io/time.ts";
import { jsonLine } from "../../lib/wire/json_text.ts";
import { eventJson } from "../../lib/cli/commands/watch/watch.ts";
import type { ProcessEvent } from "../../mod.ts";
import { noonClock, process, SAMPLES } from "./samples.ts";

function json(event: ProcessEvent): string {
  return eventJson(event, noonClock(), new TimeText());
}

function parse(event: ProcessEvent): Record<string, unknown> {
  const line = json(event);
  assert.equal(line.indexOf("\n"), line.length - 1);
  return JSON.parse(line);
}

test("eventJson() writes the library's fields by their names", () => {
  const time = new Date(2026, 7, 30, 12, 0, 1, 12).toISOString();
  assert.deepEqual(parse(SAMPLES.exit), {
    time,
    type: "exit",
    cpu: 1,
    seq: 7,
    timestampNs: "1012345678",
    pid: 4711,
    tid: 4711,
    status: 768,
    exitCode: 3,
    signal: null,
    coreDumped: false,
    exitSignal: 17,
    parentPid: 100,
    parentTid: 100,
    thread: false,
    durationNs: "12345678",
    process: {
      pid: 4711,
      parentPid: 100,
      parentComm: "bash",
      startNs: "1000000000",
      startFrom: "fork",
      startTimeTicks: null,
      comm: "sh",
      commandLine: ["sh", "-c", "exit 3"],
      commandLineTruncated: false,
      exe: "/usr/bin/dash",
      uid: 65534,
      effectiveUid: 65534,
      session: 100,
      cgroup: "/",
      kernelThread: false,
      unknownBecause: null,
    },
  });
});

test("eventJson() has every field of every type, even if unknown", () => {
  for (const event of Object.values(SAMPLES)) {
    const parsed = parse(event);
    for (const name of Object.keys(event)) assert(name in parsed, `${event.type}: ${name}`);
    assert.equal(typeof parsed.time, "string");
  }
  assert.deepEqual(parse(SAMPLES.lostSome).count, null);
  assert.deepEqual(parse(SAMPLES.lost).cpus, [0, 3]);
  assert.equal(parse(SAMPLES.unknown).data, "0004ff");
  assert.equal(parse(SAMPLES.unknown).process, null);
  assert.equal(parse({ ...SAMPLES.exit, process: process({ startNs: undefined }) }).durationNs, null);
  assert(!("durationNs" in parse(SAMPLES.threadExit)));
});

test("eventJson() writes a process as it is now", () => {
  const info = { ...process() };
  const event = { ...SAMPLES.exec, process: info };
  assert.match(json(event), /"comm":"sh"/);
  info.comm = undefined;
  assert.match(json(event), /"comm":null/);
});

test("jsonLine() writes bigints as strings, bytes as hexadecimal, and undefined as null, at any depth", () => {
  const value = { a: [1n, { b: undefined }], c: Uint8Array.of(0, 255), d: null, e: ["x"], f: { g: 2n } };
  assert.equal(
    jsonLine(value),
    '{"a":["1",{"b":null}],"c":"00ff","d":null,"e":["x"],"f":{"g":"2"}}\n',
  );
  assert.equal(jsonLine(undefined), "null\n");
});

test("jsonLine() writes what JSON.stringify() would, and nothing that a terminal interprets", () => {
  const unit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
  const text = fc.string({ unit, maxLength: 8 });
  const leaf = fc.oneof(text, fc.double(), fc.boolean(), fc.constant(null));
  const value = fc.dictionary(text, fc.oneof(leaf, fc.array(leaf), fc.dictionary(text, leaf)));
  fc.assert(fc.property(value, (value) => {
    const line = jsonLine(value);
    assert.deepEqual(JSON.parse(line), JSON.parse(JSON.stringify(value)));
    assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  }));
});
