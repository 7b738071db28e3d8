import assert from "node:assert/strict";
import { test } from "node:test";
import type { LostEvent } from "../../lib/lost_event.ts";
import type { ReceivedMessage } from "../../lib/connector/sender.ts";
import { Streams } from "../../lib/connector/streams.ts";
import { Groups } from "../../lib/connector/groups.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import type { AsyncStream } from "../../lib/stream.ts";
import { FakeLibc } from "../support/fake_libc.ts";
import { whole } from "./support.ts";

function open(): Streams {
  return new Streams(new Groups(NetlinkSocket.open(new FakeLibc(), "test")), () => {});
}

function message(seq: number, group: number = 0): ReceivedMessage {
  return { type: "message", ...whole({ seq }), from: { port: 7, group, credentials: undefined } };
}

/** The sequence numbers of messages, and losses as "-N place". */
async function read(stream: AsyncStream<ReceivedMessage | LostEvent>): Promise<(number | string)[]> {
  const all: (number | string)[] = [];
  for await (const item of stream) all.push(item.type === "lost" ? `-${item.count} ${item.where}` : item.seq);
  return all;
}

test("Streams passes a message to those that joined its group", async () => {
  const streams = open();
  const [all, some] = [streams.open({}), streams.open({ groups: [12] })];
  let copies = 0;
  for (const [seq, group] of [[1, 0], [2, 12], [3, 13]] as const) {
    streams.push(group, () => (copies++, message(seq, group)));
  }
  streams.end(undefined);
  assert.deepEqual([await read(all), await read(some), copies], [[1, 2, 3], [2], 4]);
});

test("a stream with room takes the whole batch that fills it", async () => {
  const streams = open();
  const stream = streams.open({ limit: 2 });
  streams.beginBatch();
  streams.push(0, () => message(1));
  streams.beginBatch();
  for (const seq of [2, 3, 4]) streams.push(0, () => message(seq));
  streams.beginBatch();
  streams.push(0, () => message(5));
  streams.end(undefined);
  assert.deepEqual(await read(stream), [1, 2, 3, 4, "-1 reader"]);
});

test("Streams reports losses where they happened, and merges consecutive ones", async () => {
  const streams = open();
  const stream = streams.open({ limit: 2 });
  for (const seq of [1, 2]) streams.push(0, () => message(seq));
  streams.beginBatch();
  for (const seq of [3, 4]) streams.push(0, () => message(seq));
  streams.pushLoss(5);
  streams.pushLoss(6);
  const first = [(await stream.next()).value, (await stream.next()).value, (await stream.next()).value];
  assert.deepEqual(first.map((item) => item?.type), ["message", "message", "lost"]);
  assert.deepEqual(first[2], { type: "lost", count: 2, where: "reader" });
  streams.push(0, () => message(7));
  streams.end(undefined);
  assert.deepEqual(await read(stream), ["-11 kernel", 7]);
  assert.equal(streams.size, 0);
});
