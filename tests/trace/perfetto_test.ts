import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import fc from "fast-check";
import { buildTrace, encodePerfetto, parseRecording, type RecordedEvent } from "../../lib/trace/mod.ts";
import { decodeText } from "../../lib/wire/text.ts";
import { findProgram } from "../support/programs.ts";
import { endLine, life, recordingText } from "./sample.ts";

/** The fields of a protocol buffer by number, each with its values in their order. */
type Fields = ReadonlyMap<number, readonly (bigint | Uint8Array)[]>;

function decode(bytes: Uint8Array): Fields {
  const fields = new Map<number, (bigint | Uint8Array)[]>();
  let at = 0;
  const varint = (): bigint => {
    for (let value = 0n, shift = 0n;; shift += 7n) {
      const byte = bytes[at++];
      assert(byte !== undefined, "a number that ends early");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const key = Number(varint());
    assert([0, 1, 2].includes(key & 7), `wire type ${key & 7}`);
    let value: bigint | Uint8Array;
    if ((key & 7) === 1) value = bytes.subarray(at, at += 8);
    else value = varint();
    if ((key & 7) === 2) {
      const end = at + Number(value);
      assert(end <= bytes.length, "a message that ends early");
      value = bytes.subarray(at, end);
      at = end;
    }
    fields.set(key >> 3, [...fields.get(key >> 3) ?? [], value]);
  }
  return fields;
}

const number = (fields: Fields, field: number): number => Number(fields.get(field)?.[0] ?? 0);
const text = (fields: Fields, field: number): string => decodeText(fields.get(field)?.[0] as Uint8Array);

interface Slice {
  readonly track: number;
  readonly name: string;
  readonly beginNs: number;
  endNs: number | undefined;
}

/** Reads a Perfetto trace back, and checks what every one must be. */
function check(
  events: readonly RecordedEvent[],
): { slices: Slice[]; parents: Map<number, number>; packets: Fields[] } {
  const bytes = encodePerfetto(buildTrace(parseRecording(recordingText(events, endLine(200)))));
  const packets = (decode(bytes).get(1) ?? []).map((packet) => decode(packet as Uint8Array));
  const parents = new Map<number, number>();
  const slices: Slice[] = [];
  for (const [i, packet] of packets.entries()) {
    assert.equal(number(packet, 10), 1, "trusted_packet_sequence_id");
    assert.equal(packet.has(13), i === 0, "only the first packet clears the state");
    const track = packet.get(60)?.[0];
    if (track !== undefined) {
      const fields = decode(track as Uint8Array);
      assert(!parents.has(number(fields, 1)), "a track is described once");
      parents.set(number(fields, 1), number(fields, 5));
    }
    const event = packet.get(11)?.[0];
    if (event === undefined) continue;
    const fields = decode(event as Uint8Array);
    const [type, trackId, ns] = [number(fields, 9), number(fields, 11), number(packet, 8)];
    assert(parents.has(trackId), "an event's track is described before it");
    if (type === 1) slices.push({ track: trackId, name: text(fields, 23), beginNs: ns, endNs: undefined });
    if (type === 2) {
      const open = slices.findLast((slice) => slice.track === trackId && slice.endNs === undefined);
      assert(open !== undefined, "an end without a beginning");
      open.endNs = ns;
    }
  }
  for (const track of new Set(slices.map(({ track }) => track))) {
    let lastNs = 0;
    for (const { beginNs, endNs } of slices.filter((slice) => slice.track === track)) {
      assert(endNs !== undefined && endNs >= beginNs, "a slice that does not end");
      assert(beginNs >= lastNs, "slices of a track overlap");
      lastNs = endNs;
    }
  }
  for (const [track, parent] of parents) {
    assert(parent === 0 || parents.has(parent), `the parent of track ${track} is described`);
  }
  return { slices, parents, packets };
}

test("a Perfetto trace has a slice for each program, below the track of its parent", () => {
  const { slices, parents, packets } = check([
    ...life([10, 1], [0, 100], ["make"]),
    ...life([11, 10], [10, 40], ["cc"]),
    ...life([12, 10], [20, 60], ["ld"]),
    ...life([13, 10], [70, 80], ["ar"]),
  ]);
  const of = (name: string): Slice => slices.find((slice) => slice.name === name)!;
  assert.equal(of("cc").beginNs, 11_000_000);
  assert.equal(of("cc").endNs, 41_000_000);
  assert.notEqual(of("cc").track, of("ld").track, "they ran at the same time");
  assert.equal(of("ar").track, of("cc").track, "the first track is free again");
  assert.equal(parents.get(of("cc").track), of("make").track);
  const clocks = decode(packets[0]!.get(6)![0] as Uint8Array).get(1)!.map((clock) =>
    decode(clock as Uint8Array)
  );
  assert.deepEqual(clocks.map((clock) => [number(clock, 1), number(clock, 2)]), [[3, 1_000_000], [
    1,
    1.7e18,
  ]]);
});

test("slices are balanced, nested and without overlap, whatever the tree", () => {
  const list = fc.array(fc.tuple(fc.nat(9), fc.nat(90), fc.integer({ min: 1, max: 150 })), { maxLength: 20 });
  fc.assert(fc.property(list, (processes) => {
    const events = life([100, 1], [0, 100], ["root"]);
    for (const [i, [parent, start, length]] of processes.entries()) {
      const parentPid = i === 0 ? 100 : 100 + parent % (i + 1);
      events.push(...life([101 + i, parentPid], [start, start + length], [`p${i}`]));
    }
    const { slices } = check(events);
    for (let i = 0; i < processes.length; i++) assert(slices.some(({ name }) => name === `p${i}`));
  }));
});

test("a trace has as many tracks as processes ran at once, however many there were", () => {
  const events = life([1, 0], [0, 1000], ["make"]);
  for (let i = 0; i < 100; i++) {
    events.push(...life([10 + 2 * i, 1], [10 * i, 10 * i + 9], ["sh"]));
    events.push(...life([11 + 2 * i, 10 + 2 * i], [10 * i + 1, 10 * i + 8], ["cc"]));
  }
  const { slices } = check(events);
  assert.equal(new Set(slices.map(({ track }) => track)).size, 3);
});

test("counters have the number of processes and of busy processors over time", () => {
  const usage = { cpuNs: 15e6, peakRssBytes: 1, readBytes: 0, writeBytes: 0 };
  const { packets } = check([
    ...life([10, 1], [0, 100], ["make"]),
    ...life([11, 10], [10, 40], ["cc"], { usage }),
  ]);
  const counters = new Map<string, [ms: number, value: number][]>();
  const names = new Map<number, string>();
  for (const packet of packets) {
    const track = packet.get(60)?.[0];
    if (track !== undefined) {
      const fields = decode(track as Uint8Array);
      if (fields.has(8)) names.set(number(fields, 1), text(fields, 2));
    }
    const event = packet.get(11)?.[0];
    const fields = event === undefined ? undefined : decode(event as Uint8Array);
    if (fields === undefined || number(fields, 9) !== 4) continue;
    const real = fields.get(44)?.[0] as Uint8Array | undefined;
    const value = real === undefined
      ? number(fields, 30)
      : new DataView(real.buffer, real.byteOffset).getFloat64(0, true);
    const name = names.get(number(fields, 11))!.split(" (")[0]!;
    counters.set(name, [...counters.get(name) ?? [], [number(packet, 8) / 1e6 - 1, value]]);
  }
  assert.deepEqual(Object.fromEntries(counters), {
    "running processes": [[0, 1], [10, 2], [40, 1], [100, 0]],
    "processes without running children": [[0, 1], [100, 0]],
    "busy processors": [[0, 0], [10, 0.5], [40, 0]],
  });
});

/** A folder with protos/perfetto of Perfetto's repository. Its licence and size keep it out of this one. */
const protos = process.env.PERFETTO_PROTOS;
const protoc = findProgram("protoc");
const skip = protos === undefined
  ? "PERFETTO_PROTOS names no folder with Perfetto's protos/perfetto"
  : protoc === undefined
  ? "there is no protoc (Debian: protobuf-compiler)"
  : undefined;

test(
  "Perfetto's own .proto files describe every field of a trace",
  skip === undefined ? {} : { skip },
  () => {
    const events = [
      ...life([10, 1], [0, 100], ["make"]),
      ...life([11, 10], [10, 40], ["cc", "</script>\x1b\u{dc80}"], {
        usage: { cpuNs: 15e6, peakRssBytes: 2 ** 40, readBytes: 0, writeBytes: 0 },
        exitCode: 1,
      }),
      { type: "lost", timestampNs: "50000000", count: 7 },
    ];
    const bytes = encodePerfetto(buildTrace(parseRecording(recordingText(events, endLine(200)))));
    const args = [
      `--proto_path=${protos}`,
      "--decode=perfetto.protos.Trace",
      "protos/perfetto/trace/trace.proto",
    ];
    const { status, stdout, stderr } = spawnSync(protoc!, args, { input: bytes, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stdout, /^\s*\d+[:{ ]/m, "a field that Perfetto does not know");
    for (const part of ["7 events lost", "double_counter_value: 0.5", 'name: "cc"']) {
      assert(stdout.includes(part), `${part} in\n${stdout}`);
    }
  },
);
