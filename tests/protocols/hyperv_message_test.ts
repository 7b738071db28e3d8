import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import * as constants from "../../lib/protocols/hyperv/constants.ts";
import {
  decodeKvpRequest,
  decodeKvpStatus,
  decodeVssRequest,
  decodeVssStatus,
  encodeKvpRegister,
  encodeKvpReply,
  encodeVssRegister,
  encodeVssReply,
  type KvpReply,
  type KvpRequest,
  NO_IP_INFO,
  type VssRequest,
} from "../../lib/protocols/hyperv/message.ts";
import {
  HV_KVP_EXCHG_MSG_VALUE,
  HV_KVP_IPADDR_VALUE,
  HV_KVP_MSG,
  HV_KVP_MSG_DELETE,
  HV_KVP_MSG_ENUMERATE,
  HV_KVP_REGISTER,
  HV_VSS_MSG,
} from "../../lib/protocols/hyperv/layout.ts";
import { kvp, vss } from "../../lib/protocols/hyperv/protocol.ts";
import { decodeKvpReply, encodeKvpRequest, encodeVssRequest } from "./kernel/hyperv.ts";
import { compareWithC, runC, whyNoC } from "./vectors/c_program.ts";
import { HYPERV_C } from "./vectors/hyperv.ts";
import { decodeAmidPoison, plain } from "./vectors/poison.ts";

const skip = whyNoC(["linux/connector.h", "linux/hyperv.h"]);

const INFO = {
  adapterId: "{11111111-2222}",
  addrFamily: 3,
  dhcpEnabled: true,
  ipAddr: "192.0.2.1;2001:db8::1",
  subNet: "255.255.255.0;/64",
  gateWay: "192.0.2.254",
  dnsAddr: "192.0.2.53",
};

const REQUESTS: Readonly<Record<string, KvpRequest>> = {
  registered: { type: "register", operation: constants.KVP_OP_REGISTER1, version: "3.1" },
  get: { type: "get", pool: 0, key: "colour" },
  set: { type: "set", pool: 0, key: "colour", value: "blue" },
  delete: { type: "delete", pool: 1, key: "colour" },
  enumerate: { type: "enumerate", pool: 2, index: 7 },
  get_ip_info: {
    type: "get_ip_info",
    pool: 0,
    info: { ...NO_IP_INFO, adapterId: INFO.adapterId, addrFamily: 1 },
  },
  set_ip_info: { type: "set_ip_info", pool: 0, info: INFO },
};

const REPLIES: Readonly<Record<string, KvpReply>> = {
  get_reply: { type: "get", error: constants.HV_S_OK, value: "blue-green" },
  enumerate_reply: { type: "enumerate", error: constants.HV_S_OK, key: "OSName", value: "Linux" },
  enumerate_end: { type: "enumerate", error: constants.HV_S_CONT },
  get_ip_info_reply: { type: "get_ip_info", error: constants.HV_S_OK, info: INFO },
  set_reply: { type: "set", error: constants.HV_S_OK },
};

const VSS_REQUESTS: Readonly<Record<string, VssRequest>> = {
  vss_registered: { type: "register", operation: constants.VSS_OP_REGISTER1 },
  vss_freeze: { type: "freeze" },
  vss_thaw: { type: "thaw" },
};

test("every message matches a C program that uses the kernel's header, in both directions", { skip }, () => {
  const lines = runC(HYPERV_C).trim().split("\n").map((line) => line.split(" ") as [string, string]);
  for (const [name, digits] of lines) {
    const bytes = Uint8Array.from(digits.match(/../g)!, (pair) => Number.parseInt(pair, 16));
    const same = (encoded: Uint8Array) => assert.deepEqual([...encoded], [...bytes], name);
    const [request, reply, vssRequest] = [REQUESTS[name], REPLIES[name], VSS_REQUESTS[name]];
    if (request !== undefined) {
      assert.deepEqual(decodeKvpRequest(bytes), request, name);
      same(encodeKvpRequest(request));
    } else if (reply !== undefined) {
      assert.deepEqual(decodeKvpReply(reply.type, bytes), reply, name);
      same(encodeKvpReply(reply));
    } else if (vssRequest !== undefined) {
      assert.deepEqual(decodeVssRequest(bytes), vssRequest, name);
      same(encodeVssRequest(vssRequest));
    } else if (name === "register") same(encodeKvpRegister());
    else if (name === "vss_register") same(encodeVssRegister());
    else if (name === "vss_fail") {
      assert.equal(decodeVssStatus(bytes), constants.HV_E_FAIL);
      same(encodeVssReply(constants.HV_E_FAIL));
    } else assert.fail(`nothing to compare ${name} with`);
  }
  assert.equal(lines.length, 18);
});

test("offsets and constants match a C compiler", { skip }, () => {
  const { VSS_NAMES, ...numbers } = constants;
  const operations = Object.entries(VSS_NAMES).map(([name, value]) =>
    [`VSS_OP_${name.toUpperCase()}`, value] as const
  );
  const checks = [...Object.entries(numbers), ...operations].map(([name, value]) =>
    `_Static_assert((unsigned)(${name}) == ${value}u, "${name}");`
  );
  const preamble = `#include <linux/connector.h>\n#include <linux/hyperv.h>\n${checks.join("\n")}`;
  const kvpData = "body.kvp_get";
  compareWithC(preamble, [
    {
      struct: "struct hv_kvp_msg",
      ours: HV_KVP_MSG,
      spelled: { operation: "kvp_hdr.operation", pool: "kvp_hdr.pool", pad: "kvp_hdr.pad", body: kvpData },
    },
    { struct: "struct hv_kvp_exchg_msg_value", ours: HV_KVP_EXCHG_MSG_VALUE },
    { struct: "struct hv_kvp_msg_enumerate", ours: HV_KVP_MSG_ENUMERATE },
    { struct: "struct hv_kvp_msg_delete", ours: HV_KVP_MSG_DELETE },
    { struct: "struct hv_kvp_register", ours: HV_KVP_REGISTER },
    { struct: "struct hv_kvp_ipaddr_value", ours: HV_KVP_IPADDR_VALUE },
    {
      struct: "struct hv_vss_msg",
      ours: HV_VSS_MSG,
      spelled: { operation: "vss_hdr.operation", reserved: "vss_hdr.reserved", flags: "vss_cf.flags" },
    },
  ]);
});

test("decodeKvpRequest() keeps an unknown operation", () => {
  const unknown: KvpRequest = { type: "unknown", operation: 42, pool: 3 };
  assert.deepEqual(decodeKvpRequest(encodeKvpRequest(unknown)), unknown);
  assert.deepEqual(decodeVssRequest(encodeVssRequest({ type: "unknown", operation: 42 })), {
    type: "unknown",
    operation: 42,
  });
});

test("decodeKvpRequest() rejects sizes that are too large, and truncated messages", () => {
  const bytes = encodeKvpRequest(REQUESTS["get"]!);
  viewOf(bytes).setUint32(HV_KVP_MSG.body + HV_KVP_EXCHG_MSG_VALUE.key_size, 513, LITTLE);
  assert.throws(() => decodeKvpRequest(bytes), DecodeError);
  assert.throws(() => decodeKvpRequest(bytes.subarray(0, HV_KVP_MSG.SIZE - 1)), DecodeError);
  assert.throws(() => decodeKvpReply("get", bytes.subarray(0, HV_KVP_MSG.SIZE - 1)), DecodeError);
  assert.throws(() => decodeVssRequest(encodeVssRequest({ type: "thaw" }).subarray(0, 11)), DecodeError);
});

test("encodeKvpReply() writes the value of a get at byte 532, where the driver reads it", () => {
  const bytes = encodeKvpReply(REPLIES["get_reply"]!);
  assert.equal(new TextDecoder().decode(bytes.subarray(532, 532 + 11)), "blue-green\0");
});

test("encodeKvpReply() ends texts with NUL for the driver, which ignores the sizes", () => {
  const bytes = encodeKvpReply(REPLIES["enumerate_reply"]!);
  for (const size of [0, 0xffff_ffff]) {
    const data = HV_KVP_MSG.body + HV_KVP_MSG_ENUMERATE.data;
    viewOf(bytes).setUint32(data + HV_KVP_EXCHG_MSG_VALUE.key_size, size, LITTLE);
    viewOf(bytes).setUint32(data + HV_KVP_EXCHG_MSG_VALUE.value_size, size, LITTLE);
    assert.deepEqual(decodeKvpReply("enumerate", bytes), REPLIES["enumerate_reply"]);
    assert.deepEqual(decodeKvpReply("get", bytes), { type: "get", error: 0, value: "Linux" });
  }
  // What the host gets from the stock daemon's reply, whose value is four bytes too early.
  const stock = encodeKvpRequest({ type: "set", pool: 0, key: "colour", value: "blue-green" });
  viewOf(stock).setUint32(HV_KVP_MSG.error, 0, LITTLE);
  assert.deepEqual(decodeKvpReply("get", stock), { type: "get", error: 0, value: "-green" });
});

test("encodeKvpReply() rejects a text that does not fit", () => {
  assert.throws(() => encodeKvpReply({ type: "enumerate", error: 0, key: "k".repeat(512) }), RangeError);
  assert.throws(
    () => encodeKvpReply({ type: "get", error: 0, value: "v".repeat(2048) }),
    RangeError,
  );
  const gateWay = "g".repeat(1024);
  assert.throws(
    () => encodeKvpReply({ type: "get_ip_info", error: 0, info: { ...INFO, gateWay } }),
    RangeError,
  );
});

function text(maxLength: number): fc.Arbitrary<string> {
  return fc.string({ maxLength }).filter((text) => !/[\0\ud800-\udfff]/.test(text));
}

const info = fc.record({
  ...{ adapterId: text(100), ipAddr: text(100), subNet: text(100), gateWay: text(100), dnsAddr: text(100) },
  ...{ addrFamily: fc.nat(255), dhcpEnabled: fc.boolean() },
});

test("decoders reverse the encoders", () => {
  const pool = fc.nat(255);
  const requests: fc.Arbitrary<KvpRequest> = fc.oneof(
    fc.record({ type: fc.constantFrom("get" as const, "delete" as const), pool, key: text(200) }),
    fc.record({ type: fc.constant("set" as const), pool, key: text(200), value: text(500) }),
    fc.record({ type: fc.constant("enumerate" as const), pool, index: fc.nat(0xffff_ffff) }),
    fc.record({ type: fc.constantFrom("get_ip_info" as const, "set_ip_info" as const), pool, info }),
  );
  fc.assert(fc.property(requests, (request) => {
    const decoded = decodeAmidPoison(decodeKvpRequest, encodeKvpRequest(request));
    assert.deepEqual(plain(decoded), plain(request));
  }));
  const error = fc.constant(0);
  const replies: fc.Arbitrary<KvpReply> = fc.oneof(
    fc.record({ type: fc.constant("get" as const), error, value: text(500) }),
    fc.record({ type: fc.constant("enumerate" as const), error, key: text(200), value: text(500) }),
    fc.record({ type: fc.constant("get_ip_info" as const), error, info }),
    fc.record({
      type: fc.constantFrom("get" as const, "set" as const, "delete" as const, "enumerate" as const),
      error: fc.integer({ min: 1, max: 0xffff_ffff }),
    }),
  );
  fc.assert(fc.property(replies, (reply) => {
    const decoded = decodeAmidPoison((bytes) => decodeKvpReply(reply.type, bytes), encodeKvpReply(reply));
    assert.deepEqual(plain(decoded), plain(reply));
  }));
});

test("decoders of arbitrary bytes throw DecodeError only, and read nothing outside", () => {
  const header = { seq: 0, ack: 0, flags: 0 };
  const decoders: ((bytes: Uint8Array) => unknown)[] = [
    decodeKvpRequest,
    decodeKvpStatus,
    (bytes) => decodeKvpReply("get", bytes),
    (bytes) => decodeKvpReply("enumerate", bytes),
    (bytes) => decodeKvpReply("get_ip_info", bytes),
    decodeVssRequest,
    decodeVssStatus,
    (data) => kvp.describe({ ...header, id: kvp.id, data }, "kernel"),
    (data) => kvp.describe({ ...header, id: kvp.id, data }, "user"),
    (data) => vss.describe({ ...header, id: vss.id, data }, "kernel"),
    (data) => vss.describe({ ...header, id: vss.id, data }, "user"),
  ];
  // Arbitrary bytes at the start of a complete message, filled with bytes that may not terminate a text.
  const whole = fc.record({ head: fc.uint8Array({ maxLength: 20 }), fill: fc.constantFrom(0, 1, 0xff) }).map(
    ({ head, fill }) => {
      const bytes = new Uint8Array(HV_KVP_MSG.SIZE).fill(fill);
      bytes.set(head);
      return bytes;
    },
  );
  for (const decode of decoders) {
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 30 }), whole), (bytes) => {
      decodeAmidPoison(decode, bytes);
    }));
  }
});

test("decodeKvpStatus() and decodeVssStatus() read the status of a reply, and reject a truncated one", () => {
  const [kvpReply, vssReply] = [
    encodeKvpReply({ type: "set", error: 0x8000_4005 }),
    encodeVssReply(0x8000_4005),
  ];
  assert.equal(decodeKvpStatus(kvpReply), constants.HV_E_FAIL);
  assert.equal(decodeVssStatus(vssReply), constants.HV_E_FAIL);
  assert.throws(() => decodeKvpStatus(kvpReply.subarray(1)), DecodeError);
  assert.throws(() => decodeVssStatus(vssReply.subarray(1)), DecodeError);
});

test("kvp.describe() and vss.describe() distinguish requests from replies", () => {
  const header = { id: kvp.id, seq: 0, ack: 0, flags: 0 };
  const request = { ...header, data: encodeKvpRequest(REQUESTS["set_ip_info"]!) };
  assert.deepEqual(kvp.describe(request, "kernel"), { type: "set_ip_info", pool: 0, info: INFO });
  const end = { ...header, data: encodeKvpReply(REPLIES["enumerate_end"]!) };
  assert.deepEqual(kvp.describe(end, "user"), { type: "reply", error: "0x80070103" });
  assert.deepEqual(kvp.describe({ ...header, data: encodeKvpRegister() }, "user"), { type: "register" });
  assert.deepEqual(vss.describe({ ...header, data: encodeVssRequest({ type: "freeze" }) }, "kernel"), {
    type: "freeze",
  });
  assert.deepEqual(vss.describe({ ...header, data: encodeVssReply(constants.HV_E_FAIL) }, "user"), {
    type: "reply",
    error: "0x80004005",
  });
  assert.deepEqual(vss.describe({ ...header, data: encodeVssRegister() }, "user"), { type: "register" });
});
