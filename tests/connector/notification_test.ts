import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeNotifyRequest, encodeNotifyRequest, matches } from "../../lib/connector/notification.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";

const little = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

test("encodeNotifyRequest() writes cn_ctl_msg and its cn_notify_reqs, word by word", {
  skip: little ? false : "big-endian",
}, () => {
  const bytes = encodeNotifyRequest({
    idx: [{ first: 20, range: 2 }],
    val: [{ first: 1, range: 0xffff_ffff }, { first: 0, range: 1 }],
    group: 31,
  });
  const words = [
    "01000000", // idx_notify_num
    "02000000", // val_notify_num
    "1f000000", // group
    "18000000", // len: three ranges
    "14000000", // idx: first 20
    "02000000", // range 2
    "01000000", // val: first 1
    "ffffffff", // range 2^32 - 1
    "00000000", // val: first 0
    "01000000", // range 1
  ];
  assert.equal(Buffer.from(bytes).toString("hex"), words.join(""));
});

test("decodeNotifyRequest() rejects inconsistent lengths", () => {
  const good = encodeNotifyRequest({ idx: [{ first: 1, range: 1 }], val: [], group: 31 });
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => decodeNotifyRequest(good.subarray(0, length)), DecodeError);
  }
  const wrong = good.slice();
  wrong[12] = 16; // len says two ranges, the counts one
  assert.throws(() => decodeNotifyRequest(wrong), DecodeError);
  assert.throws(() => decodeNotifyRequest(new Uint8Array([...wrong, ...new Uint8Array(8)])), DecodeError);
  wrong.fill(0xff, 0, 16); // 2^33 ranges
  assert.throws(() => decodeNotifyRequest(wrong), DecodeError);
  assert.deepEqual(decodeNotifyRequest(new Uint8Array([...good, 9, 9])).idx, [{ first: 1, range: 1 }]);
});

test("decodeNotifyRequest() reverses the encoder, and throws only DecodeError", () => {
  const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
  const ranges = fc.array(fc.record({ first: u32, range: u32 }, { noNullPrototype: true }), { maxLength: 5 });
  fc.assert(
    fc.property(fc.record({ idx: ranges, val: ranges, group: u32 }, { noNullPrototype: true }), (request) => {
      assert.deepEqual(decodeNotifyRequest(encodeNotifyRequest(request)), request);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
    try {
      decodeNotifyRequest(data);
    } catch (error) {
      assert.ok(error instanceof DecodeError);
    }
  }));
});

test("isMeant() requires both halves to be in a range, and no range overflows", () => {
  const request = { idx: [{ first: 20, range: 2 }], val: [{ first: 0xffff_fff0, range: 0xffff_ffff }] };
  assert.equal(matches(request, { idx: 20, val: 0xffff_fff0 }), true);
  assert.equal(matches(request, { idx: 21, val: 0xffff_ffff }), true);
  assert.equal(matches(request, { idx: 22, val: 0xffff_ffff }), false);
  assert.equal(matches(request, { idx: 19, val: 0xffff_ffff }), false);
  assert.equal(matches(request, { idx: 20, val: 0 }), false, "a range does not wrap");
  assert.equal(matches({ idx: [], val: request.val }, { idx: 20, val: 0xffff_ffff }), false);
});
