import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { visitCnMsgs } from "../../lib/connector/datagram.ts";
import { decodeCnMsg, encodeCnMsg } from "../../lib/connector/message.ts";
import type { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { encodeNlmsghdrInto } from "../../lib/netlink/message.ts";
import { bytes, whole } from "./support.ts";

/** A netlink message around `payload`, padded to 4 bytes. */
function netlinkMessage(payload: Uint8Array, type: number = 3): Uint8Array {
  const len = 16 + payload.length;
  const out = new Uint8Array((len + 3) & ~3);
  encodeNlmsghdrInto(new DataView(out.buffer), 0, { len, type, flags: 0, seq: 0, pid: 0 });
  out.set(payload, 16);
  return out;
}

function cnMsg(...data: number[]): Uint8Array {
  return encodeCnMsg(whole({ data: bytes(...data) }));
}

interface Visits {
  readonly payloads: readonly (readonly number[])[];
  readonly first: readonly boolean[];
  readonly malformed: number;
}

/** Visits a datagram that lies in the middle of other bytes. */
function visits(datagram: Uint8Array, port: number = 0, truncated: boolean = false): Visits {
  const memory = new Uint8Array(datagram.length + 200).fill(0xa5);
  memory.set(datagram, 100);
  const view = new DataView(memory.buffer);
  const batch = {
    view,
    at: () => 100,
    end: () => 100 + datagram.length,
    truncated: () => truncated,
    senderPort: () => port,
  } as unknown as DatagramBatch;
  const payloads: number[][] = [];
  const first: boolean[] = [];
  const malformed = visitCnMsgs(batch, 0, (at, end, isFirst) => {
    payloads.push([...decodeCnMsg(view, at, end).data]);
    first.push(isFirst);
  });
  return { payloads, first, malformed };
}

test("every connector message of every netlink message is visited, the first marked", () => {
  const two = netlinkMessage(bytes(...cnMsg(1), ...cnMsg(2, 2)));
  const one = netlinkMessage(cnMsg());
  assert.deepEqual(visits(bytes(...two, ...one)), {
    payloads: [[1], [2, 2], []],
    first: [true, false, false],
    malformed: 0,
  });
});

test("of the kernel's netlink messages those of another type are malformed, of a program's all but the first", () => {
  const [one, two] = [netlinkMessage(cnMsg(1), 2), netlinkMessage(cnMsg(2))];
  assert.deepEqual(visits(bytes(...one, ...two), 0), { payloads: [[2]], first: [false], malformed: 1 });
  assert.deepEqual(visits(bytes(...one, ...two), 7), { payloads: [[1]], first: [true], malformed: 1 });
});

test("a message that does not fit is counted, and the netlink message after it is read", () => {
  const lying = netlinkMessage(cnMsg(1, 2));
  lying[16 + 16] = 3; // cn_msg.len
  const good = netlinkMessage(cnMsg(5));
  assert.deepEqual(visits(bytes(...lying, ...good)), { payloads: [[5]], first: [false], malformed: 1 });
  const tooLong = good.slice();
  tooLong[0] = good.length + 1; // nlmsg_len
  assert.deepEqual(visits(bytes(...good, ...tooLong)), { payloads: [[5]], first: [true], malformed: 1 });
});

test("a truncated datagram, an empty one and one of length 0 hold nothing", () => {
  assert.deepEqual(visits(netlinkMessage(cnMsg(1)), 0, true), { payloads: [], first: [], malformed: 1 });
  assert.deepEqual(visits(bytes()), { payloads: [], first: [], malformed: 1 });
  assert.deepEqual(visits(new Uint8Array(64)), { payloads: [], first: [], malformed: 1 });
});

test("whatever arrives, nothing outside of the datagram is visited, and it ends", () => {
  const lengths = fc.uint8Array({ maxLength: 120 });
  fc.assert(fc.property(lengths, fc.boolean(), (datagram, fromKernel) => {
    const { payloads, malformed } = visits(datagram, fromKernel ? 0 : 7);
    assert(payloads.flat().length <= datagram.length);
    assert(payloads.length + malformed <= 1 + datagram.length / 4);
  }));
});
