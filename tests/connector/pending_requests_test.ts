import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PendingRequest, PendingRequests } from "../../lib/connector/requests.ts";
import type { ReceivedMessage, Sender } from "../../lib/connector/sender.ts";
import { ID, whole } from "./support.ts";

const FROM_7: Sender = { port: 7, group: 0, credentials: undefined };
const FROM_8: Sender = { ...FROM_7, port: 8 };

function ask(
  pendingRequests: PendingRequests,
  numbers: Partial<PendingRequest> = {},
): PendingRequest & { got: ReceivedMessage[] } {
  const got: ReceivedMessage[] = [];
  const request = {
    ...{ id: ID, seq: 5, ack: 9, port: 7, isReply: undefined, ...numbers },
    onReply: (message: ReceivedMessage) => void got.push(message),
    onEnd: () => {},
    got,
  };
  pendingRequests.add(request);
  return request;
}

function take(
  pendingRequests: PendingRequests,
  message: Parameters<typeof whole>[0],
  from: Sender = FROM_7,
): string {
  return pendingRequests.match(whole(message), from, () => ({ type: "message", ...whole(message), from }));
}

test("PendingRequests.takeSeq() counts up and wraps at 2^32", () => {
  const pendingRequests = new PendingRequests(0xffff_fffe);
  const taken = Array.from({ length: 4 }, () => pendingRequests.takeSeq());
  assert.deepEqual(taken, [0xffff_fffe, 0xffff_ffff, 0, 1]);
});

test("PendingRequests.takeSeq() skips the numbers of pending requests", () => {
  const pendingRequests = new PendingRequests(0xffff_ffff);
  ask(pendingRequests, { seq: 0 });
  assert.deepEqual([pendingRequests.takeSeq(), pendingRequests.takeSeq()], [0xffff_ffff, 1]);
});

test("PendingRequests starts at a random sequence number, and returns random acknowledge numbers", () => {
  const firsts = new Set(Array.from({ length: 8 }, () => new PendingRequests(undefined).takeSeq()));
  const pendingRequests = new PendingRequests(undefined);
  const acks = new Set(Array.from({ length: 200 }, () => pendingRequests.randomAck()));
  assert.ok(firsts.size >= 7 && acks.size >= 199, `${firsts.size} of 8, ${acks.size} of 200`);
});

test("PendingRequests.match() recognizes a reply by identifier, sequence number, acknowledge number and port", () => {
  const pendingRequests = new PendingRequests(0);
  const asked = ask(pendingRequests);
  assert.equal(take(pendingRequests, { seq: 5, ack: 9 }), "new");
  assert.equal(take(pendingRequests, { seq: 5, ack: 11 }), "new");
  assert.equal(take(pendingRequests, { seq: 6, ack: 10 }), "new");
  assert.equal(take(pendingRequests, { seq: 5, ack: 10, id: { idx: 20, val: 2 } }), "new");
  assert.equal(take(pendingRequests, { seq: 5, ack: 10, id: { idx: 21, val: 1 } }), "new");
  assert.equal(take(pendingRequests, { seq: 5, ack: 10 }, FROM_8), "forged");
  assert.equal(asked.got.length, 0);
  assert.equal(take(pendingRequests, { seq: 5, ack: 10 }), "reply");
  assert.equal(asked.got.length, 1);
});

test("PendingRequests.match() adds one to the acknowledge number modulo 2^32", () => {
  const pendingRequests = new PendingRequests(0);
  ask(pendingRequests, { ack: 0xffff_ffff });
  assert.equal(take(pendingRequests, { seq: 5, ack: 0 }), "reply");
});

test("PendingRequests.match() accepts replies from any port to a request that went to a group", () => {
  const pendingRequests = new PendingRequests(0);
  ask(pendingRequests, { port: undefined });
  assert.equal(take(pendingRequests, { seq: 5, ack: 10 }, FROM_8), "reply");
});

test("PendingRequests.match() follows a protocol's own rule", () => {
  const pendingRequests = new PendingRequests(0);
  ask(pendingRequests, { isReply: (message) => message.ack === 9 || message.ack === 6 });
  assert.equal(take(pendingRequests, { seq: 5, ack: 10 }), "new");
  assert.equal(take(pendingRequests, { seq: 5, ack: 6 }), "reply");
  assert.equal(take(pendingRequests, { seq: 5, ack: 9 }), "reply");
});

test("PendingRequests.match() recognizes late, repeated and forged replies to a finished request", () => {
  const pendingRequests = new PendingRequests(0);
  pendingRequests.finish(ask(pendingRequests, { seq: 1 }), true);
  pendingRequests.finish(ask(pendingRequests, { seq: 2 }), false);
  assert.equal(take(pendingRequests, { seq: 1, ack: 10 }), "duplicate");
  assert.equal(take(pendingRequests, { seq: 2, ack: 10 }), "late");
  assert.equal(take(pendingRequests, { seq: 2, ack: 10 }, FROM_8), "forged");
  assert.equal(take(pendingRequests, { seq: 2, ack: 9 }), "new");
});

test("PendingRequests.add() refuses the sequence number of a pending request", () => {
  const pendingRequests = new PendingRequests(0);
  const first = ask(pendingRequests);
  assert.throws(
    () => ask(pendingRequests),
    /Cannot ask 20:1: sequence number 5 is that of a request in flight/,
  );
  pendingRequests.finish(first, true);
  const second = ask(pendingRequests);
  pendingRequests.finish(first, true);
  assert.equal(pendingRequests.isPending(second), true, "finishing the first does not finish the second");
});

test("PendingRequests remembers the last 4096 finished requests", () => {
  const pendingRequests = new PendingRequests(0);
  for (let seq = 0; seq < 5000; seq++) pendingRequests.finish(ask(pendingRequests, { seq }), true);
  assert.equal(take(pendingRequests, { seq: 0, ack: 10 }), "new");
  assert.equal(take(pendingRequests, { seq: 904, ack: 10 }), "duplicate");
  assert.equal(pendingRequests.size, 0);
});

test("PendingRequests.endAll() ends each request once", () => {
  const pendingRequests = new PendingRequests(0);
  const errors: unknown[] = [];
  const numbers = { id: ID, seq: 1, ack: 1, port: 7, isReply: undefined };
  pendingRequests.add({ ...numbers, onReply: () => {}, onEnd: (error) => errors.push(error) });
  pendingRequests.endAll("over");
  pendingRequests.endAll("again");
  assert.deepEqual(errors, ["over"]);
});

test("PendingRequests.match() accepts as replies only what the rule says", () => {
  const u32 = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0xffff_fffe, 0xffff_ffff));
  const message = fc.record({ idx: u32, val: u32, seq: u32, ack: u32, port: u32 });
  fc.assert(fc.property(message, fc.array(message, { maxLength: 30 }), (asked, arriving) => {
    const pendingRequests = new PendingRequests(0);
    const { got } = ask(pendingRequests, { id: asked, seq: asked.seq, ack: asked.ack, port: asked.port });
    let expected = 0;
    for (const { idx, val, seq, ack, port } of arriving) {
      const isReply = idx === asked.idx && val === asked.val && seq === asked.seq && port === asked.port &&
        (ack - asked.ack - 1) % 2 ** 32 === 0;
      if (isReply) expected++;
      const verdict = take(pendingRequests, { id: { idx, val }, seq, ack }, { ...FROM_7, port });
      assert.equal(verdict === "reply", isReply);
    }
    assert.equal(got.length, expected);
  }));
});
