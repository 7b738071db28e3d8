import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { encodeNlmsghdrInto, NLMSGHDR, type Nlmsghdr } from "../../lib/netlink/message.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { compareWithC, whyNoC } from "../protocols/vectors/c_program.ts";
import { hex } from "../protocols/vectors/hex.ts";
import { decodeNlmsghdr } from "../support/nlmsghdr.ts";
import { amid, decodeAmidPoison } from "../protocols/vectors/poison.ts";

/** The header of an acknowledgement from the kernel, Linux 6.12 on x86-64, on its fifth processor event. */
const captured = hex`
  4c000000          # nlmsg_len 76: 16 + 20 + 40
  0300              # nlmsg_type NLMSG_DONE
  0000              # nlmsg_flags
  04000000          # nlmsg_seq 4
  00000000          # nlmsg_pid 0
`;

/** The captured header and the bytes that it announces. */
function datagram(header: Uint8Array, payload: number): Uint8Array {
  const bytes = new Uint8Array(header.length + payload);
  bytes.set(header);
  return bytes;
}

function decode(bytes: Uint8Array): Nlmsghdr {
  return decodeNlmsghdr(viewOf(bytes), 0, bytes.length);
}

test("decodeNlmsghdr() reads a captured header", () => {
  assert.deepEqual(decodeAmidPoison(decode, datagram(captured, 60)), {
    len: 76,
    type: 3,
    flags: 0,
    seq: 4,
    pid: 0,
  });
});

test("encodeNlmsghdrInto() writes the captured header, and where the payload begins", () => {
  const bytes = amid(0xaa, new Uint8Array(16));
  assert.equal(encodeNlmsghdrInto(viewOf(bytes), 0, { len: 76, type: 3, flags: 0, seq: 4, pid: 0 }), 16);
  assert.deepEqual([...bytes], [...captured]);
  const around = new Uint8Array(bytes.buffer);
  assert.equal(around[bytes.byteOffset - 1], 0xaa);
  assert.equal(around[bytes.byteOffset + 16], 0xaa);
});

test("decodeNlmsghdr() rejects what is cut short, and lengths that cannot be", () => {
  const whole = datagram(captured, 60);
  for (let length = 0; length < whole.length; length++) {
    const error = decodeAmidPoison(decode, whole.subarray(0, length));
    assert(error instanceof DecodeError);
    assert.equal(error.foundBytes, length);
  }
  for (const len of [0, 1, 15, 77, 0x8000_0000, 0xffff_ffff]) {
    const bytes = whole.slice();
    viewOf(bytes).setUint32(0, len, true);
    assert.throws(() => decode(bytes), DecodeError, String(len));
  }
});

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);

test("decodeNlmsghdr() gives back what encodeNlmsghdrInto() was given, anywhere", () => {
  fc.assert(fc.property(u16, u16, u32, u32, fc.nat(100), fc.nat(9), (type, flags, seq, pid, payload, at) => {
    const header = { len: 16 + payload, type, flags, seq, pid };
    const bytes = amid(0xff, new Uint8Array(at + 16 + payload));
    assert.equal(encodeNlmsghdrInto(viewOf(bytes), at, header), at + 16);
    assert.deepEqual(decodeNlmsghdr(viewOf(bytes), at, bytes.length), header);
    assert.throws(() => decodeNlmsghdr(viewOf(bytes), at, bytes.length - 1), DecodeError);
  }));
});

test("decodeNlmsghdr() of arbitrary bytes throws DecodeError only, and stays inside", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
    const header = decodeAmidPoison(decode, bytes);
    if (!(header instanceof DecodeError)) assert(header.len >= 16 && header.len <= bytes.length);
  }));
});

test("offsets are those of a C compiler", { skip: whyNoC(["linux/netlink.h"]) }, () => {
  const spelled = Object.fromEntries(
    Object.keys(NLMSGHDR).filter((name) => name !== "SIZE").map((name) => [name, `nlmsg_${name}`]),
  );
  assert.equal(
    compareWithC("#include <linux/netlink.h>\n", [{ struct: "struct nlmsghdr", ours: NLMSGHDR, spelled }]),
    6,
  );
});
