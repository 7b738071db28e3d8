import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError } from "../../lib/errors/closed_error.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import type { LostEvent } from "../../lib/lost_event.ts";
import type { ReceivedMessage } from "../../lib/connector/sender.ts";
import type { AsyncStream } from "../../lib/stream.ts";
import { bytes, ID, isClosed, settle, stage } from "./support.ts";

const limits = { timeout: 60_000 };

/** First bytes of the messages, until the stream ends. */
async function read(stream: AsyncStream<ReceivedMessage | LostEvent>): Promise<(number | string)[]> {
  const all: (number | string)[] = [];
  for await (const item of stream) all.push(item.type === "lost" ? "lost" : item.data[0]!);
  return all;
}

test("drain() delivers everything in the receive queue, and then closes", limits, async () => {
  await using s = stage();
  const stream = s.bus.messages({ limit: 40 });
  const called: number[] = [];
  s.bus.addCallback(ID, "mine", ({ data }) => called.push(data[0]!));
  for (let i = 0; i < 30; i++) s.arrive({ data: bytes(i) });
  const drained = s.bus.drain();
  assert.equal(isClosed(s.bus), false);
  await drained;
  const expected = Array.from({ length: 30 }, (_, i) => i);
  assert.deepEqual([called, await read(stream)], [expected, expected]);
  assert.equal(isClosed(s.bus), true);
  await s.bus.drain();
});

test("drain() waits for a full stream, and loses nothing", limits, async () => {
  await using s = stage();
  const stream = s.bus.messages({ limit: 40 });
  for (let i = 0; i < 200; i++) s.arrive({ data: bytes(i) });
  await settle();
  void s.bus.drain();
  await settle();
  assert.equal(isClosed(s.bus), false);
  assert.deepEqual(await read(stream), Array.from({ length: 200 }, (_, i) => i));
});

test("drain() wakes a waiting connector, and closes one without readers", limits, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  const next = stream.next();
  await settle(); // it waits in the poller
  s.arrive({ data: bytes(1) });
  await s.bus.drain();
  assert.equal(((await next).value as ReceivedMessage).data[0], 1);
  assert.equal((await stream.next()).done, true);
  await using unread = stage();
  await unread.bus.drain();
  assert.equal(isClosed(unread.bus), true);
});

test("drain() accepts no new messages, and ends requests without a reply", limits, async () => {
  await using s = stage();
  const request = s.bus.request(ID, bytes(1), { port: 7, seq: 5, ack: 6 });
  const second = s.bus.request(ID, bytes(1), { port: 7, seq: 6, ack: 6 });
  s.arrive({ seq: 5, ack: 7, data: bytes(2) });
  const unanswered = assert.rejects(second, ClosedError);
  const [socket] = s.system.libc.sockets;
  const drained = s.bus.drain();
  assert.deepEqual([...socket!.filter!], [6, 0, 0, 0, 0, 0, 0, 0], "return 0: drop");
  await drained;
  assert.equal((await request).data[0], 2);
  await unanswered;
});

test("drain() closes the connector with the error if the socket accepts no filter", limits, async () => {
  await using s = stage();
  s.system.libc.answers("setsockopt", -ERRNO.ENOMEM!);
  await assert.rejects(s.bus.drain(), /SO_ATTACH_FILTER.*ENOMEM/);
  assert.equal(isClosed(s.bus), true);
});
