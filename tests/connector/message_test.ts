import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  CN_MSG,
  type CnMsg,
  decodeCnMsg,
  decodeCnMsgs,
  encodeCnMsg,
  encodeCnMsgInto,
  encodeDatagram,
  MAX_DATA_BYTES,
  MAX_DATA_TO_KERNEL,
  MAX_DATAGRAM_BYTES,
} from "../../lib/connector/message.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { decodeNlmsghdr } from "../support/nlmsghdr.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { compareWithC, whyNoC } from "../protocols/vectors/c_program.ts";
import { hex } from "../protocols/vectors/hex.ts";
import { amid, decodeAmidPoison, plain } from "../protocols/vectors/poison.ts";
import * as proc from "../processes/vectors.ts";
import * as w1 from "../protocols/vectors/w1.ts";

function decode(bytes: Uint8Array): CnMsg {
  return decodeCnMsg(viewOf(bytes), 0, bytes.length);
}

function decodeAll(bytes: Uint8Array): CnMsg[] {
  return decodeCnMsgs(viewOf(bytes), 0, bytes.length);
}

/** A message with a payload of so many zeroes. */
function of(length: number): CnMsg {
  return { id: { idx: 12, val: 1 }, seq: 0, ack: 0, flags: 0, data: new Uint8Array(length) };
}

const u32 = fc.nat(0xffff_ffff);
const message: fc.Arbitrary<CnMsg> = fc.record({
  id: fc.record({ idx: u32, val: u32 }),
  seq: u32,
  ack: u32,
  flags: fc.nat(0xffff),
  data: fc.uint8Array({ maxLength: 100 }),
});

test("decodeCnMsg() reads the kernel's acknowledgement", () => {
  const bytes = proc.acknowledgement.subarray(16);
  const { data, ...header } = decodeAmidPoison(decode, bytes) as CnMsg;
  assert.deepEqual(header, { id: { idx: 1, val: 1 }, seq: 231_761_279, ack: 78, flags: 0 });
  assert.deepEqual([...data], [...proc.acknowledgement.subarray(36)]);
});

test("decodeCnMsg() reads unsigned numbers over their full range", () => {
  const bytes = hex`
    ffffffff feffffff # idx CN_IDX_CONNECTOR, val
    00000080 ffffffff # seq 2^31, ack 2^32 - 1
    0000 ffff         # len 0, flags
  `;
  assert.deepEqual(plain(decode(bytes)), {
    id: { idx: 0xffff_ffff, val: 0xffff_fffe },
    seq: 0x8000_0000,
    ack: 0xffff_ffff,
    flags: 0xffff,
    data: [],
  });
});

test("decodeCnMsg() returns a view of exactly the data", () => {
  const bytes = amid(
    0xee,
    encodeCnMsg({ id: { idx: 12, val: 1 }, seq: 1, ack: 2, flags: 0, data: Uint8Array.of(7, 8) }),
  );
  const { data } = decode(bytes);
  assert.equal(data.buffer, bytes.buffer);
  assert.equal(data.byteOffset, bytes.byteOffset + 20);
  assert.equal(data.length, 2);
});

test("decodeCnMsg() rejects a message truncated anywhere", () => {
  const whole = proc.fork.subarray(16);
  for (let length = 0; length < whole.length; length++) {
    const error = decodeAmidPoison(decode, whole.subarray(0, length));
    assert(error instanceof DecodeError);
    assert.equal(error.structure, length < 20 ? "cn_msg" : "cn_msg.data");
    assert.equal(error.neededBytes, length < 20 ? 20 : 40);
    assert.equal(error.foundBytes, length < 20 ? length : length - 20);
  }
  const longer = whole.slice();
  viewOf(longer).setUint16(16, 41, true);
  assert.throws(() => decode(longer), DecodeError);
  viewOf(longer).setUint16(16, 0xffff, true);
  assert.throws(() => decode(longer), DecodeError);
});

test("decodeCnMsgs() reads several back to back, as the 1-wire driver sends them", () => {
  const all = decodeAmidPoison(decodeAll, w1.bundleReplyDatagram) as CnMsg[];
  assert.deepEqual(all.map(({ ack }) => ack), [0, 107, 0]);
  assert.equal(all.reduce((sum, { data }) => sum + 20 + data.length, 0), w1.bundleReplyDatagram.length);
});

test("decodeCnMsgs() treats fewer bytes than a header as padding, and rejects a truncated message", () => {
  const bytes = encodeCnMsg({ id: { idx: 12, val: 1 }, seq: 1, ack: 2, flags: 0, data: Uint8Array.of(7) });
  for (let padding = 0; padding < 20; padding++) {
    const padded = new Uint8Array(bytes.length + padding).fill(0xff);
    padded.set(bytes);
    assert.equal(decodeAll(padded).length, 1, String(padding));
  }
  const padded = new Uint8Array(bytes.length + 20).fill(0xff);
  padded.set(bytes);
  assert.throws(() => decodeAll(padded), DecodeError);
  assert.throws(() => decodeAll(new Uint8Array()), DecodeError, "nothing at all is no message");
});

test("decodeCnMsgs() reverses the encoding of several messages", () => {
  fc.assert(fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), (all) => {
    const size = all.reduce((sum, { data }) => sum + 20 + data.length, 0);
    const bytes = amid(0xaa, new Uint8Array(size));
    let at = 0;
    for (const one of all) at = encodeCnMsgInto(bytes, at, one);
    assert.equal(at, size);
    const around = new Uint8Array(bytes.buffer);
    assert(around.subarray(0, bytes.byteOffset).every((byte) => byte === 0xaa));
    assert(around.subarray(bytes.byteOffset + size).every((byte) => byte === 0xaa));
    assert.deepEqual(plain(decodeAmidPoison(decodeAll, bytes)), plain(all));
  }));
});

test("both decoders of arbitrary bytes throw DecodeError only, and stay inside", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 90 }), fc.nat(60), (bytes, length) => {
      if (bytes.length >= 20) viewOf(bytes).setUint16(16, length, true); // else nearly every length is too long
      decodeAmidPoison(decode, bytes);
      const all = decodeAmidPoison(decodeAll, bytes);
      if (!(all instanceof DecodeError)) assert(all.length <= Math.max(1, bytes.length / 20));
    }),
    { numRuns: 1_000 },
  );
});

test("encodeCnMsg() rejects a payload that its length field cannot hold", () => {
  const largest = encodeCnMsg(of(0xffff));
  assert.equal(decode(largest).data.length, 0xffff);
  assert.throws(() => encodeCnMsg(of(0x10000)), RangeError);
  assert.throws(() => encodeDatagram(of(0x10000)), RangeError);
});

test("encodeDatagram() writes the LISTEN that the kernel acknowledged", () => {
  const data = hex`01000000`;
  assert.deepEqual(
    [...encodeDatagram({ id: { idx: 1, val: 1 }, seq: 7, ack: 77, flags: 0, data })],
    [...hex`
      28000000 0300 0000 # nlmsg_len 40, nlmsg_type NLMSG_DONE, nlmsg_flags 0
      07000000 00000000  # nlmsg_seq 7, nlmsg_pid 0
      01000000 01000000  # idx CN_IDX_PROC, val CN_VAL_PROC
      07000000 4d000000  # seq 7, ack 77
      0400 0000          # len 4, flags 0
      01000000           # PROC_CN_MCAST_LISTEN
    `],
  );
});

test("encodeDatagram() writes a length without the padding", () => {
  fc.assert(fc.property(message, (one) => {
    const bytes = encodeDatagram(one);
    const header = decodeNlmsghdr(viewOf(bytes), 0, bytes.length);
    assert.equal(bytes.length % 4, 0);
    assert.equal(header.len, 36 + one.data.length);
    assert(bytes.length - header.len < 4);
    assert(bytes.subarray(header.len).every((byte) => byte === 0));
    assert.equal(header.seq, one.seq);
    assert.deepEqual(plain(decodeCnMsg(viewOf(bytes), 16, header.len)), plain(one));
  }));
});

test("the limits are those of the kernel", { skip: whyNoC(["linux/connector.h"]) }, () => {
  assert.equal(MAX_DATAGRAM_BYTES, encodeDatagram(of(MAX_DATA_BYTES)).length);
  assert.equal(MAX_DATAGRAM_BYTES, 65572);
  compareWithC(
    `#include <linux/connector.h>
_Static_assert(CONNECTOR_MAX_MSG_SIZE == ${MAX_DATA_TO_KERNEL + CN_MSG.SIZE}, "largest message");
_Static_assert((__typeof__(((struct cn_msg *) 0)->len)) -1 == ${MAX_DATA_BYTES}, "largest payload");
`,
    [{ struct: "struct cn_msg", ours: CN_MSG, spelled: { idx: "id.idx", val: "id.val" }, sizeAt: "data" }],
  );
});
