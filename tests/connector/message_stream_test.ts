import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageStream } from "../../lib/connector/message_stream.ts";
import type { LostMessages, ReceivedMessage } from "../../lib/connector/sender.ts";
import { whole } from "./support.ts";

type Item = ReceivedMessage | LostMessages;

function message(seq: number): ReceivedMessage {
  return { type: "message", ...whole({ seq }), from: { port: 7, group: 0, credentials: undefined } };
}

function open(
  limit: number,
  signal?: AbortSignal,
): { inbox: MessageStream<Item>; demands: () => number; closes: () => number } {
  let [demands, closes] = [0, 0];
  const hooks = { onDemand: () => void demands++, onClose: () => void closes++ };
  const inbox = new MessageStream<Item>(limit, ({ seq }) => seq !== 13, hooks, signal);
  return { inbox, demands: () => demands, closes: () => closes };
}

/** The sequence numbers of messages, and losses as "-N place". */
async function drain(inbox: MessageStream<Item>): Promise<(number | string)[]> {
  inbox.close();
  const all: (number | string)[] = [];
  for await (const item of inbox) all.push(item.type === "lost" ? `-${item.count} ${item.where}` : item.seq);
  return all;
}

test("Inbox gives what it was offered, in order, and says what it does not want", async () => {
  const { inbox } = open(10);
  assert.deepEqual([1, 13, 2].map((seq) => inbox.offer(message(seq))), [true, false, true]);
  assert.deepEqual(await drain(inbox), [1, 2]);
});

test("Inbox puts losses where they happened, and counts those together that follow each other", async () => {
  const { inbox } = open(2);
  for (const seq of [1, 2, 3, 4]) inbox.offer(message(seq));
  inbox.lose(5, "kernel");
  inbox.lose(6, "kernel");
  assert.equal((await inbox.next()).value?.type, "message");
  assert.equal((await inbox.next()).value?.type, "message");
  assert.deepEqual((await inbox.next()).value, { type: "lost", count: 2, where: "reader" });
  inbox.offer(message(7));
  assert.deepEqual(await drain(inbox), ["-11 kernel", 7]);
});

test("Inbox asks for more when somebody waits, and when there is room again", async () => {
  const { inbox, demands } = open(2);
  inbox.offer(message(1));
  inbox.offer(message(2));
  assert.deepEqual([inbox.full, demands()], [true, 0]);
  await inbox.next();
  assert.deepEqual([inbox.full, demands()], [false, 1]);
  await inbox.next();
  const waiting = inbox.next();
  assert.equal(demands(), 2);
  inbox.offer(message(3));
  assert.equal(((await waiting).value as ReceivedMessage).seq, 3);
});

test("Inbox serves several who wait, in their order", async () => {
  const { inbox } = open(10);
  const waiting = [inbox.next(), inbox.next(), inbox.next()];
  inbox.offer(message(1));
  inbox.offer(message(2));
  inbox.close();
  const results = await Promise.all(waiting);
  assert.deepEqual(results.map(({ value }) => (value as ReceivedMessage | undefined)?.seq), [
    1,
    2,
    undefined,
  ]);
});

test(
  "Inbox closes once: by leaving the iteration, by dispose, by the signal",
  { timeout: 10_000 },
  async () => {
    const left = open(10);
    left.inbox.offer(message(1));
    left.inbox.offer(message(2));
    for await (const _ of left.inbox) break;
    assert.deepEqual([left.closes(), left.inbox.offer(message(3))], [1, false]);
    assert.equal((await left.inbox.next()).done, true);

    const aborter = new AbortController();
    const aborted = open(10, aborter.signal);
    aborted.inbox.offer(message(1));
    aborter.abort(new Error("enough"));
    await assert.rejects(aborted.inbox.next(), /enough/);
    assert.equal((await aborted.inbox.next()).done, true);
    await aborted.inbox[Symbol.asyncDispose]();
    assert.equal(aborted.closes(), 1);
    assert.throws(() => open(10, aborter.signal), /enough/);
  },
);

test("Inbox gives to who asked first, whenever the others come", async () => {
  const { inbox } = open(10);
  const first = inbox.next();
  inbox.offer(message(1));
  inbox.offer(message(2));
  const second = inbox.next(); // before the first has been woken
  const seqs = (await Promise.all([first, second])).map(({ value }) => (value as ReceivedMessage).seq);
  assert.deepEqual(seqs, [1, 2]);
});

test("Inbox: any number of readers get each message once and in the order of asking", async () => {
  const step = fc.oneof(
    fc.constant("next" as const),
    fc.constant("turn" as const),
    fc.constant("offer" as const),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { inbox } = open(Infinity);
      const asked: Promise<IteratorResult<Item, undefined>>[] = [];
      let offered = 0;
      for (const step of steps) {
        if (step === "next") asked.push(inbox.next());
        else if (step === "turn") await Promise.resolve();
        else inbox.offer(message(100 + offered++));
      }
      inbox.close();
      const handed = (await Promise.all(asked)).flatMap(({ value }) => value === undefined ? [] : [value]);
      const seqs = [...handed.map((item) => (item as ReceivedMessage).seq), ...await drain(inbox)];
      assert.deepEqual(seqs, Array.from({ length: offered }, (_, i) => 100 + i));
    }),
  );
});

test("Inbox: every call that waits ends with it, one with what it failed with", async () => {
  const { inbox } = open(10);
  const settled = Promise.allSettled([inbox.next(), inbox.next(), inbox.next()]);
  await Promise.resolve();
  inbox.fail(new Error("gone"));
  assert.deepEqual((await settled).map(({ status }) => status), ["rejected", "fulfilled", "fulfilled"]);
});
