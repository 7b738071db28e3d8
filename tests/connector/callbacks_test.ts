import assert from "node:assert/strict";
import { test } from "node:test";
import type { Reply } from "../../lib/connector/callbacks.ts";
import { encodeCnMsg, encodeDatagram } from "../../lib/connector/message.ts";
import type { ReceivedMessage } from "../../lib/connector/sender.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { bytes, ID, isClosed, settle, stage, whole } from "./support.ts";

const OTHER = { idx: 20, val: 2 };

test("addCallback() joins the group of the identifier's idx, and delCallback() leaves it with the last one", async () => {
  await using s = stage();
  s.bus.addCallback(ID, "one", () => {});
  s.bus.addCallback(OTHER, "two", () => {});
  assert.deepEqual([s.bus.groups(), s.bus.callbacks()], [[20], [{ id: ID, name: "one" }, {
    id: OTHER,
    name: "two",
  }]]);
  assert.deepEqual([s.bus.delCallback(ID), s.bus.groups()], [true, [20]]);
  assert.deepEqual([s.bus.delCallback(OTHER), s.bus.groups(), s.bus.delCallback(OTHER)], [true, [], false]);
});

test("addCallback() refuses an identifier that already has a callback, with EINVAL as the kernel does", async () => {
  await using s = stage();
  s.bus.addCallback(ID, "first", () => {});
  assert.throws(() => s.bus.addCallback(ID, "second", () => {}), (error) => {
    assert.ok(error instanceof SyscallError);
    assert.equal(
      error.message,
      'Cannot add a callback for 20:1: cn_add_callback failed with EINVAL: the identifier has a callback already, "first"',
    );
    return true;
  });
  s.bus.delCallback(ID);
  s.bus.addCallback(ID, "second", () => {});
});

test("addCallback() that is refused leaves everything as it was", async () => {
  await using s = stage();
  s.system.libc.answers("setsockopt", -ERRNO.EPERM!);
  assert.throws(() => s.bus.addCallback(ID, "mine", () => {}), /Cannot join group 20: .*EPERM.*even/);
  assert.deepEqual([s.bus.callbacks(), s.bus.groups()], [[], []]);
  s.bus.addCallback(ID, "mine", () => {});
  assert.throws(() => s.bus.addCallback({ idx: -1, val: 0 }, "wrong", () => {}), RangeError);
});

test("addCallback() for an identifier without a group receives what is sent to our port", async () => {
  await using s = stage();
  const seen: ReceivedMessage[] = [];
  s.bus.addCallback({ idx: 4000, val: 1 }, "far", (message) => seen.push(message));
  assert.deepEqual(s.bus.groups(), []);
  s.arrive({ id: { idx: 4000, val: 1 } });
  await settle();
  assert.equal(seen.length, 1);
});

test("a callback gets the message, its sender and a way to reply", async () => {
  await using s = stage({ credentials: true });
  const got: [ReceivedMessage, Reply][] = [];
  s.bus.addCallback(ID, "mine", (...args) => got.push(args));
  const credentials = { pid: 42, uid: 1000, gid: 100 };
  s.arrive({ seq: 3, ack: 0xffff_ffff, flags: 5, data: bytes(9) }, { port: 7, group: 20, credentials });
  s.arrive({ id: OTHER });
  await settle();
  assert.equal(got.length, 1);
  const [message, reply] = got[0]!;
  assert.deepEqual({ ...message, data: [...message.data] }, {
    type: "message",
    id: ID,
    seq: 3,
    ack: 0xffff_ffff,
    flags: 5,
    data: [9],
    from: { port: 7, group: 20, credentials },
  });
  reply(bytes(1, 2));
  reply(bytes(), { seq: 8, ack: 9, flags: 10 });
  const [first, second] = s.sent();
  assert.deepEqual([first!.port, first!.groups, first!.id, first!.seq, first!.ack, first!.flags], [
    7,
    0,
    ID,
    3,
    0,
    0,
  ]);
  assert.deepEqual([[...first!.data], second!.seq, second!.ack, second!.flags], [[1, 2], 8, 9, 10]);
  assert.equal(s.bus.stats().unclaimed, 1);
});

test("reply() throws if it cannot be sent", async () => {
  await using s = stage();
  const replies: Reply[] = [];
  s.bus.addCallback(ID, "mine", (_, reply) => replies.push(reply));
  s.arrive({}, { port: 7 });
  s.arrive({ id: { idx: 21, val: 1 } }, { port: 0 });
  await settle();
  s.system.libc.answers("sendto", -ERRNO.ECONNREFUSED!);
  assert.throws(() => replies[0]!(bytes(1)), /Cannot answer 20:1: .*no socket of the connector has port 7/);
  s.bus.close();
  assert.throws(() => replies[0]!(bytes(1)), /Cannot answer 20:1: the connector is closed/);
});

test("a message that a callback stores does not change", async () => {
  await using s = stage();
  const kept: ReceivedMessage[] = [];
  s.bus.addCallback(ID, "mine", (message) => kept.push(message));
  s.arrive({ data: bytes(1) });
  await settle();
  s.arrive({ data: bytes(2) });
  await settle();
  assert.deepEqual(kept.map(({ data }) => [...data]), [[1], [2]]);
});

test("a callback that throws or rejects is reported, and does not affect others", async () => {
  await using s = stage();
  const seen: number[] = [];
  s.bus.addCallback(ID, "throws", () => {
    throw new Error("thrown");
  });
  s.bus.addCallback(OTHER, "rejects", ({ seq }) => {
    seen.push(seq);
    return Promise.reject(new Error("rejected"));
  });
  s.arrive({ seq: 1 });
  s.arrive({ seq: 2, id: OTHER });
  s.arrive({ seq: 3 });
  s.arrive({ seq: 4, id: OTHER });
  await settle();
  assert.deepEqual(seen, [2, 4]);
  const said = s.failures.map(([error, failed]) => `${failed}: ${(error as Error).message}`).sort();
  assert.deepEqual(said, [
    'the callback "rejects" for 20:2: rejected',
    'the callback "rejects" for 20:2: rejected',
    'the callback "throws" for 20:1: thrown',
    'the callback "throws" for 20:1: thrown',
  ]);
  assert.equal(s.bus.stats().failures, 4);
});

test("without onError an error is written to standard error, and so is an error of onError itself", async (t) => {
  const lines: unknown[][] = [];
  t.mock.method(console, "error", (...line: unknown[]) => lines.push(line));
  const broken = (): never => {
    throw new Error("broken");
  };
  for (const onError of [undefined, broken]) {
    await using s = stage({ onError });
    s.bus.addCallback(ID, "throws", () => {
      throw new Error("thrown");
    });
    s.arrive({});
    await settle();
  }
  const said = lines.map(([text, error]) => `${text} ${(error as Error).message}`);
  const failed = 'kernel-connector: the callback "throws" for 20:1 failed: thrown';
  assert.deepEqual(said, [failed, "kernel-connector: onError failed: broken", failed]);
});

test("callbacks are called in the order of arrival, and may delete themselves", async () => {
  await using s = stage();
  const seen: number[] = [];
  s.bus.addCallback(ID, "three times", ({ seq }) => {
    if (seen.push(seq) === 3) s.bus.delCallback(ID);
  });
  for (let seq = 0; seq < 50; seq++) s.arrive({ seq });
  await settle();
  assert.deepEqual(seen, [0, 1, 2]);
  assert.ok(s.bus.stats().unclaimed <= 47);
});

test("a callback may close the connector", async () => {
  await using s = stage();
  let calls = 0;
  s.bus.addCallback(ID, "closes", () => {
    calls++;
    s.bus.close();
  });
  for (let seq = 0; seq < 5; seq++) s.arrive({ seq });
  await settle();
  assert.deepEqual([calls, isClosed(s.bus), s.bus.callbacks()], [1, true, []]);
});

test("a callback that closes the connector gets no more messages, not even of the same datagram", async () => {
  await using s = stage();
  s.bus.addCallback(ID, "closes", () => s.bus.close());
  const message = encodeCnMsg(whole({}));
  const datagram = new Uint8Array([...encodeDatagram(whole({})), ...message]);
  datagram[0] = datagram.length; // both are one netlink message
  s.system.libc.receives("all", { bytes: datagram, from: { port: 7 } });
  await settle();
  assert.deepEqual([isClosed(s.bus), s.bus.stats().messages], [true, 1]);
});

test("without callbacks, requests and readers the connector does not wait", async () => {
  await using s = stage();
  await settle();
  assert.deepEqual(s.system.poller.added, []);
  s.bus.addCallback(ID, "mine", () => {});
  await settle();
  assert.equal(s.system.poller.added.length, 1);
});
