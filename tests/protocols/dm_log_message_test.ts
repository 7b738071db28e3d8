import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import * as constants from "../../lib/protocols/dm_log/constants.ts";
import {
  decodeDmLogRequest,
  DM_ULOG_REQUEST,
  type DmLogRequest,
  REGION_SYNC,
  REMOTE_RECOVERING,
  RESYNC_WORK,
} from "../../lib/protocols/dm_log/message.ts";
import {
  bareAck,
  decodeDmLogReply,
  type DmLogReply,
  encodeDmLogReply,
} from "../../lib/protocols/dm_log/reply.ts";
import { dmLog } from "../../lib/protocols/dm_log/protocol.ts";
import { compareWithC, whyNoC } from "./vectors/c_program.ts";
import * as vectors from "./vectors/dm_log.ts";
import { decodeAmidPoison, plain } from "./vectors/poison.ts";
import { encodeDmLogRequest } from "./kernel/dm_log.ts";

const common = { luid: 0xffff_8880_05c7_ac00n, uuid: "LOGUUID-cap", version: 3 };
const integrated = { luid: 0xffff_8880_05ec_9000n, uuid: "LOGUUID-int", version: 3 };

const CAPTURED: readonly (readonly [Uint8Array, DmLogRequest])[] = [
  [vectors.ctr, { type: "ctr", ...common, seq: 0, args: ["32768", "core", "1024"], again: false }],
  [vectors.getRegionSize, { type: "get_region_size", ...common, seq: 1 }],
  [vectors.resume, { type: "resume", ...common, seq: 3 }],
  [vectors.inSync, { type: "in_sync", ...common, seq: 11, region: 1n }],
  [vectors.setRegionSync, { type: "set_region_sync", ...common, seq: 13, region: 1n, inSync: true }],
  [vectors.clearRegion, { type: "clear_region", ...common, seq: 14, regions: [1n] }],
  [vectors.markRegion, { type: "mark_region", ...common, seq: 200, regions: [0n] }],
  [vectors.flush, { type: "flush", ...common, seq: 15, regions: [] }],
  [vectors.integratedFlush, { type: "flush", ...integrated, seq: 218, regions: [0n] }],
  [vectors.isRemoteRecovering, { type: "is_remote_recovering", ...integrated, seq: 215, region: 0n }],
  [vectors.dtr, { type: "dtr", ...common, seq: 208, args: [] }],
];

test("decodeDmLogRequest() reads what the kernel sent, and encodeDmLogRequest() writes the same", () => {
  for (const [bytes, request] of CAPTURED) {
    assert.deepEqual(decodeDmLogRequest(bytes), request);
    assert.deepEqual([...encodeDmLogRequest(request)], [...bytes], request.type);
  }
});

test("decodeDmLogRequest() recognizes a reconnect by the NUL at the end of the text", () => {
  const again = { type: "ctr", ...common, seq: 0, args: ["32768", "core", "1024"], again: true } as const;
  const bytes = encodeDmLogRequest(again);
  assert.equal(bytes.length, vectors.ctr.length + 1);
  assert.deepEqual(decodeDmLogRequest(bytes), again);
});

test("decodeDmLogRequest() ignores the reserved bits of the type, and keeps an unknown type", () => {
  const bytes = vectors.resume.slice();
  viewOf(bytes).setUint32(DM_ULOG_REQUEST.request_type, 0xabcd_ef05, LITTLE);
  assert.equal(decodeDmLogRequest(bytes).type, "resume");
  viewOf(bytes).setUint32(DM_ULOG_REQUEST.request_type, 99, LITTLE);
  const unknown = decodeDmLogRequest(bytes);
  assert.deepEqual(plain(unknown), { type: "unknown", ...common, seq: 3, requestType: 99, data: [] });
  const reply = encodeDmLogReply(unknown, { type: "unknown", error: -22 });
  assert.equal(viewOf(reply).getUint32(DM_ULOG_REQUEST.request_type, LITTLE), 99);
});

test("decodeDmLogRequest() rejects truncated messages, and those shorter than their request requires", () => {
  for (let length = 0; length < vectors.ctr.length; length++) {
    assert.throws(() => decodeDmLogRequest(vectors.ctr.subarray(0, length)), DecodeError);
  }
  for (const type of ["is_clean", "in_sync", "is_remote_recovering", "set_region_sync"] as const) {
    const bytes = vectors.resume.slice();
    viewOf(bytes).setUint32(DM_ULOG_REQUEST.request_type, constants.DM_ULOG_NAMES[type], LITTLE);
    assert.throws(() => decodeDmLogRequest(bytes), DecodeError);
  }
});

test("encodeDmLogReply() repeats log and seq, and sends no data with an error", () => {
  const request = decodeDmLogRequest(vectors.resume);
  assert.deepEqual(encodeDmLogReply(request, { type: "resume", error: 0 }), vectors.resume);
  const question: DmLogRequest = { type: "get_region_size", ...common, seq: 1 };
  const bytes = encodeDmLogReply(question, { type: "get_region_size", error: -5, regionSize: 1024n });
  assert.equal(bytes.length, DM_ULOG_REQUEST.SIZE);
  assert.equal(viewOf(bytes).getInt32(DM_ULOG_REQUEST.error, LITTLE), -5);
  assert.equal(viewOf(bytes).getUint32(DM_ULOG_REQUEST.data_size, LITTLE), 0);
});

test("encodeDmLogReply() reserves room for the reply with ESRCH, because the kernel keeps it for its next try", () => {
  const sizes = [
    ...[["in_sync", 8], ["is_clean", 8], ["is_remote_recovering", 16]] as const,
    ...[["get_sync_count", 8], ["get_resync_work", 16], ["flush", 0], ["resume", 0]] as const,
  ];
  for (const [type, size] of sizes) {
    const request = { ...common, seq: 1, type, region: 0n, regions: [] } as DmLogRequest;
    const reply = { type, error: -ERRNO.ESRCH! } as DmLogReply;
    const bytes = encodeDmLogReply(request, reply);
    assert.equal(bytes.length, DM_ULOG_REQUEST.SIZE + size, type);
    assert.equal(viewOf(bytes).getUint32(DM_ULOG_REQUEST.data_size, LITTLE), size, type);
    assert.deepEqual(decodeDmLogReply(bytes), reply);
    const answered = encodeDmLogReply(request, replyFor(request, 1n, true, "1 core"));
    assert.ok(answered.length <= bytes.length, `the answer to ${type} fits`);
  }
});

test("encodeDmLogReply() rejects a reply to another type of request", () => {
  const request = decodeDmLogRequest(vectors.resume);
  assert.throws(() => encodeDmLogReply(request, { type: "flush", error: 0 }), TypeError);
});

test("encodeDmLogReply() rejects a uuid that does not fit", () => {
  const fits = { type: "resume", ...common, seq: 1, uuid: "u".repeat(128) } as const;
  const done = { type: "resume", error: 0 } as const;
  assert.deepEqual(decodeDmLogRequest(encodeDmLogReply(fits, done)), fits);
  assert.throws(() => encodeDmLogReply({ ...fits, uuid: "u".repeat(129) }, done), RangeError);
});

test("bareAck() carries the request's seq, and the error in ack", () => {
  const { seq, ack, data } = bareAck(7, 11);
  assert.deepEqual([seq, ack, data.length], [7, 11, 0]);
});

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u32 = fc.nat(0xffff_ffff);
const word = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => !/[ \0\ud800-\udfff]/.test(text));
const commons = { luid: u64, uuid: word, version: fc.constantFrom(2, 3), seq: u32 };
const regions = fc.array(u64, { maxLength: 32 });
const requests: fc.Arbitrary<DmLogRequest> = fc.oneof(
  fc.record({
    type: fc.constant("ctr" as const),
    ...commons,
    args: fc.array(word, { maxLength: 5 }),
    again: fc.boolean(),
  }),
  fc.record({ type: fc.constant("dtr" as const), ...commons, args: fc.array(word, { maxLength: 5 }) }),
  fc.record({
    type: fc.constantFrom(
      ...(["presuspend", "postsuspend", "resume", "get_region_size", "get_resync_work"] as const),
      ...(["get_sync_count", "status_info", "status_table"] as const),
    ),
    ...commons,
  }),
  fc.record({
    type: fc.constantFrom("is_clean" as const, "in_sync" as const, "is_remote_recovering" as const),
    ...commons,
    region: u64,
  }),
  fc.record({
    type: fc.constantFrom("mark_region" as const, "clear_region" as const, "flush" as const),
    ...commons,
    regions,
  }),
  fc.record({
    type: fc.constant("set_region_sync" as const),
    ...commons,
    region: u64,
    inSync: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("unknown" as const),
    ...commons,
    requestType: fc.integer({ min: 18, max: 255 }),
    data: fc.uint8Array({ maxLength: 40 }),
  }),
);

/** A reply of the right type for a request. */
function replyFor(request: DmLogRequest, number: bigint, yes: boolean, text: string): DmLogReply {
  switch (request.type) {
    case "ctr":
      return { type: request.type, error: 0, device: yes ? text : undefined };
    case "get_region_size":
      return { type: request.type, error: 0, regionSize: number };
    case "is_clean":
    case "in_sync":
      return { type: request.type, error: 0, value: yes };
    case "get_resync_work":
      return { type: request.type, error: 0, region: yes ? number : undefined };
    case "get_sync_count":
      return { type: request.type, error: 0, count: number };
    case "status_info":
    case "status_table":
      return { type: request.type, error: 0, text };
    case "is_remote_recovering":
      return { type: request.type, error: 0, recovering: yes, inSyncHint: number };
    default:
      return { type: request.type, error: 0 };
  }
}

test("decodeDmLogRequest() reverses encodeDmLogRequest()", () => {
  fc.assert(fc.property(requests, (request) => {
    // An empty text has no NUL to distinguish them.
    fc.pre(request.type !== "ctr" || request.args.length > 0);
    const decoded = decodeAmidPoison(decodeDmLogRequest, encodeDmLogRequest(request));
    assert.deepEqual(plain(decoded), plain(request));
  }));
});

test("decodeDmLogReply() reverses encodeDmLogReply()", () => {
  fc.assert(fc.property(requests, u64, fc.boolean(), word, fc.integer({ max: -1 }), (request, ...values) => {
    const [number, yes, text, error] = values;
    const reply = replyFor(request, number, yes, text);
    assert.deepEqual(decodeAmidPoison(decodeDmLogReply, encodeDmLogReply(request, reply)), reply);
    const failed = { type: request.type, error } as DmLogReply;
    assert.deepEqual(decodeAmidPoison(decodeDmLogReply, encodeDmLogReply(request, failed)), failed);
  }));
});

test("decoders of arbitrary bytes throw DecodeError only, and read nothing outside", () => {
  const header = { id: dmLog.id, seq: 0, ack: 0, flags: 0 };
  const decoders = [
    decodeDmLogRequest,
    decodeDmLogReply,
    (data: Uint8Array) => dmLog.describe({ ...header, data }, "kernel"),
    (data: Uint8Array) => dmLog.describe({ ...header, data }, "user"),
  ];
  // Arbitrary bytes nearly always have an invalid data_size, so sizes and types that may fit are set as well.
  const bytes = fc.record({
    bytes: fc.uint8Array({ minLength: 160, maxLength: 240 }),
    type: fc.nat(20),
    size: fc.nat(90),
    error: fc.constantFrom(0, 0, -5),
  }).map(({ bytes, type, size, error }) => {
    const view = viewOf(bytes);
    view.setUint32(DM_ULOG_REQUEST.request_type, type, LITTLE);
    view.setUint32(DM_ULOG_REQUEST.data_size, size, LITTLE);
    view.setInt32(DM_ULOG_REQUEST.error, error, LITTLE);
    return bytes;
  });
  for (const decode of decoders) {
    fc.assert(fc.property(fc.oneof(bytes, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      decodeAmidPoison<unknown>(decode, bytes);
    }));
  }
});

test("dmLog.describe() writes 64-bit numbers as text, and errors by name", () => {
  const message = { id: dmLog.id, seq: 1, ack: 0, flags: 0, data: vectors.ctr };
  assert.deepEqual(dmLog.describe(message, "kernel"), {
    type: "ctr",
    luid: "0xffff888005c7ac00",
    uuid: "LOGUUID-cap",
    version: 3,
    seq: 0,
    args: ["32768", "core", "1024"],
    again: false,
  });
  const question: DmLogRequest = { type: "in_sync", ...common, seq: 1, region: 3n };
  const data = encodeDmLogReply(question, { type: "in_sync", error: -5 });
  assert.deepEqual(dmLog.describe({ ...message, data }, "user"), { type: "in_sync", error: "EIO" });
  assert.deepEqual(dmLog.describe(bareAck(1, 11), "user"), { type: "ack", error: "EAGAIN" });
  JSON.stringify(dmLog.describe({ ...message, data: encodeDmLogRequest(question) }, "kernel"));
});

const HEADERS = ["linux/connector.h", "linux/dm-log-userspace.h"];

test("offsets and constants match a C compiler", { skip: whyNoC(HEADERS) }, () => {
  const requestTypes = Object.entries(constants).filter(([name, value]) =>
    typeof value === "number" && name !== "CN_IDX_DM" && name !== "CN_VAL_DM_USERSPACE_LOG"
  );
  const preamble = `
#include <linux/connector.h>
#include <linux/dm-log-userspace.h>
_Static_assert(CN_IDX_DM == ${constants.CN_IDX_DM}, "idx");
_Static_assert(CN_VAL_DM_USERSPACE_LOG == ${constants.CN_VAL_DM_USERSPACE_LOG}, "val");
${requestTypes.map(([name, value]) => `_Static_assert(${name} == ${value}, "${name}");`).join("\n")}
struct resync_work { __s64 i; __u64 r; };
struct region_sync { __u64 r; __s64 i; };
struct remote_recovering { __s64 is_recovering; __u64 in_sync_hint; };
`;
  compareWithC(preamble, [
    { struct: "struct dm_ulog_request", ours: DM_ULOG_REQUEST, sizeAt: "data" },
    { struct: "struct resync_work", ours: RESYNC_WORK },
    { struct: "struct region_sync", ours: REGION_SYNC },
    { struct: "struct remote_recovering", ours: REMOTE_RECOVERING },
  ]);
});
