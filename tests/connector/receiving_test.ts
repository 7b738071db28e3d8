import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CnMsg, encodeCnMsg, encodeDatagram } from "../../lib/connector/message.ts";
import type { LostEvent } from "../../lib/lost_event.ts";
import type { ReceivedMessage } from "../../lib/connector/sender.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { encodeNlmsghdrInto } from "../../lib/netlink/message.ts";
import { bytes, ID, isClosed, settle, type Stage, stage, whole } from "./support.ts";

type Item = ReceivedMessage | LostEvent;

/** One netlink message with these connector messages one after the other, and what else stands behind them. */
function datagram(
  messages: readonly Partial<CnMsg>[],
  behind: Uint8Array = bytes(),
): Uint8Array<ArrayBuffer> {
  const parts = [...messages.map((message) => encodeCnMsg(whole(message))), behind];
  const len = 16 + parts.reduce((sum, { length }) => sum + length, 0);
  const out = new Uint8Array(len);
  let at = encodeNlmsghdrInto(new DataView(out.buffer), 0, { len, type: 3, flags: 0, seq: 0, pid: 0 });
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function receives(s: Stage, ...items: (Uint8Array | number)[]): void {
  s.system.libc.receives(
    "all",
    ...items.map((it) => typeof it === "number" ? it : { bytes: it, from: { port: 7 } }),
  );
}

/** What is in a stream by now: payloads as numbers, and losses as "-N place". */
async function read(stream: AsyncIterator<Item, undefined>, count: number): Promise<unknown[]> {
  const all: unknown[] = [];
  for (let i = 0; i < count; i++) {
    const { value } = await stream.next();
    all.push(
      value === undefined
        ? "end"
        : value.type === "lost"
        ? `-${value.count} ${value.where}`
        : [...value.data],
    );
  }
  return all;
}

test("messages() yields several messages of one datagram, at any offset", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  receives(
    s,
    datagram(
      [{ data: bytes(1) }, { data: bytes(2, 2) }, { data: bytes(3, 3, 3) }, { data: bytes() }],
      bytes(0, 0),
    ),
  );
  assert.deepEqual(await read(stream, 4), [[1], [2, 2], [3, 3, 3], []]);
  const { received, messages, malformed } = s.bus.stats();
  assert.deepEqual({ received, messages, malformed }, { received: 1, messages: 4, malformed: 0 });
});

test("a second netlink message in a datagram is read from the kernel, and counted from a program", {
  timeout: 60_000,
}, async () => {
  await using s = stage({ trust: () => true });
  const stream = s.bus.messages();
  const two = bytes(...encodeDatagram(whole({ data: bytes(1) })), ...datagram([{ data: bytes(2, 2) }]));
  s.system.libc.receives("all", { bytes: two, from: { port: 0 } });
  assert.deepEqual(await read(stream, 2), [[1], [2, 2]]);
  assert.equal(s.bus.stats().malformed, 0);
  receives(s, two, datagram([{ data: bytes(3) }]));
  assert.deepEqual(await read(stream, 2), [[1], [3]]);
  assert.equal(s.bus.stats().malformed, 1);
});

test(
  "a netlink message of another type is not from the kernel's connector, and counted",
  { timeout: 60_000 },
  async () => {
    await using s = stage({ trust: () => true });
    const stream = s.bus.messages();
    const error = datagram([{ data: bytes(1) }]);
    error[4] = 2; // NLMSG_ERROR
    const good = datagram([{ data: bytes(2) }]);
    s.system.libc.receives("all", { bytes: error, from: { port: 0 } }, { bytes: good, from: { port: 0 } });
    assert.deepEqual(await read(stream, 1), [[2]]);
    assert.equal(s.bus.stats().malformed, 1);
    // What programs write there is their own business: the kernel does not look at it either.
    receives(s, error);
    assert.deepEqual(await read(stream, 1), [[1]]);
  },
);

test("messages() yields the largest message of the kernel completely, and no longer datagram", {
  timeout: 60_000,
}, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  receives(
    s,
    encodeDatagram(whole({ data: new Uint8Array(65_535).fill(7) })),
    datagram([{ data: new Uint8Array(65_535) }], bytes(0, 0)),
    encodeDatagram(whole({ data: bytes(1) })),
  );
  const { value } = await stream.next();
  assert.equal((value as ReceivedMessage).data.length, 65_535);
  assert.ok((value as ReceivedMessage).data.every((byte) => byte === 7));
  assert.deepEqual(await read(stream, 1), [[1]]);
  assert.equal(s.bus.stats().malformed, 1);
});

test("messages() survives malformed datagrams, and counts them", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  const good = datagram([{ data: bytes(1) }]);
  const longer = good.slice();
  longer[0] = 200; // nlmsg_len beyond the datagram
  const shorter = good.slice();
  shorter[0] = 30; // too short for a cn_msg
  const lying = good.slice();
  lying[16 + 16] = 99; // cn_msg.len beyond its netlink message
  const half = datagram([{ data: bytes(2) }], bytes(...new Array(25).fill(0xff))); // the second is broken
  for (
    const broken of [
      bytes(),
      bytes(1, 2, 3),
      good.subarray(0, 15),
      good.subarray(0, 35),
      longer,
      shorter,
      lying,
      half,
    ]
  ) {
    receives(s, broken);
  }
  receives(s, good);
  assert.deepEqual(await read(stream, 2), [[2], [1]]);
  assert.equal(s.bus.stats().malformed, 8);
});

test("messages() never throws, whatever arrives", { timeout: 30_000 }, async () => {
  await using s = stage({ trust: "anyone" });
  const stream = s.bus.messages({ limit: 100_000 });
  const arbitrary = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.uint8Array({ maxLength: 80 }).map((tail) =>
      new Uint8Array([tail.length + 16, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...tail])
    ),
  );
  for (const item of fc.sample(arbitrary, 2000)) receives(s, item);
  receives(s, datagram([{ data: bytes(42), flags: 4242 }]));
  for await (const item of stream) {
    if (item.type === "message" && item.flags === 4242 && item.data[0] === 42) break;
  }
  assert.equal(s.bus.stats().received, 2001);
});

test("a truncated datagram is malformed, whatever its header", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  const cut = new Uint8Array(70_000);
  cut.set(datagram([{ data: bytes(9) }]));
  receives(s, cut, datagram([{ data: bytes(1) }]));
  assert.deepEqual(await read(stream, 1), [[1]]);
  assert.equal(s.bus.stats().malformed, 1);
});

test("stray all-zero messages are counted and not delivered", { timeout: 60_000 }, async () => {
  await using s = stage();
  let calls = 0;
  s.bus.addCallback({ idx: 0, val: 0 }, "zero", () => calls++);
  const stream = s.bus.messages();
  s.arrive({ id: { idx: 0, val: 0 }, seq: 0, ack: 0 }, { port: 0 });
  s.arrive({ data: bytes(1) });
  assert.deepEqual(await read(stream, 1), [[1]]);
  assert.deepEqual([s.bus.stats().stray, calls], [1, 0]);
});

test("messages() continues after EINTR, ENOBUFS and empty reads", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  const one = (n: number): Uint8Array => datagram([{ data: bytes(n) }]);
  receives(s, -ERRNO.EINTR!, one(1), -ERRNO.ENOBUFS!, one(2), -ERRNO.EAGAIN!, one(3), -ERRNO.ENOMEM!, one(4));
  assert.deepEqual(await read(stream, 4), [[1], [2], [3], [4]]);
  assert.equal(
    s.system.libc.names("recvfrom").length,
    1,
    "recvmmsg does not end a congestion, recvfrom does",
  );
});

test(
  "a socket that can no longer be read ends everything with its error",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const stream = s.bus.messages();
    const asked = s.bus.request(ID, bytes(), { port: 7 });
    receives(s, -ERRNO.EBADF!, -ERRNO.EBADF!);
    await assert.rejects(stream.next(), /Cannot use the connector: recvmmsg failed with EBADF/);
    await assert.rejects(asked, /EBADF/);
    assert.equal(isClosed(s.bus), true);
  },
);

test("closed resolves with the connector, and rejects with what ended it", { timeout: 60_000 }, async () => {
  const peaceful = stage();
  const ended = peaceful.bus.closed;
  peaceful.bus.close();
  await ended;
  await peaceful.bus.closed;
  const broken = stage();
  broken.bus.addCallback(ID, "mine", () => {});
  const waiting = broken.bus.closed;
  receives(broken, -ERRNO.EBADF!, -ERRNO.EBADF!);
  await assert.rejects(waiting, /EBADF/);
  await assert.rejects(broken.bus.closed, /EBADF/);
  assert.deepEqual(broken.failures, []);
});

test("the error that ends a connector is reported if nobody waits for it", { timeout: 60_000 }, async () => {
  const s = stage();
  s.bus.addCallback(ID, "mine", () => {});
  receives(s, -ERRNO.EBADF!, -ERRNO.EBADF!);
  await settle();
  assert.deepEqual([isClosed(s.bus), s.failures.map(([, failed]) => failed)], [true, ["the connector"]]);
  const aborter = new AbortController();
  const aborted = stage({ signal: aborter.signal });
  aborter.abort(new Error("enough"));
  assert.equal(aborted.failures.length, 0, "who aborts knows");
});

test("a broken socket whose groups cannot be left is still closed", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages({ groups: [12] });
  receives(s, -ERRNO.EBADF!, -ERRNO.EBADF!);
  s.system.libc.answers("setsockopt", -ERRNO.EBADF!);
  await assert.rejects(stream.next(), /recvmmsg failed with EBADF/);
  assert.deepEqual([isClosed(s.bus), s.failures], [true, []]);
});

test("the death of the poller ends everything with its error", { timeout: 60_000 }, async () => {
  await using s = stage();
  const stream = s.bus.messages();
  const next = stream.next();
  await settle();
  s.system.poller.die(new Error("the thread is gone"));
  await assert.rejects(next, /Cannot use the connector: the thread is gone/);
});

test("a lost event appears where the kernel dropped messages", { timeout: 60_000 }, async () => {
  await using s = stage();
  const [first, second] = [s.bus.messages(), s.bus.messages()];
  s.arrive({ data: bytes(1) });
  assert.deepEqual(await read(first, 1), [[1]]);
  s.system.libc.answers("recvmmsg", () => {
    s.system.libc.sockets[0]!.drops += 5;
    return undefined;
  });
  s.arrive({ data: bytes(2) });
  assert.deepEqual(await read(first, 2), [[2], "-5 kernel"]);
  assert.deepEqual(await read(second, 3), [[1], [2], "-5 kernel"]);
  assert.equal(s.bus.stats().lost, 5);
});

test(
  "a reader that stops leaves the rest in the kernel's buffer",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const stream = s.bus.messages({ limit: 10 });
    for (let i = 0; i < 200; i++) s.arrive({ data: bytes(i) });
    assert.deepEqual(await read(stream, 1), [[0]]);
    await settle();
    const { received } = s.bus.stats();
    assert.ok(received < 100, `received ${received} of 200 while 10 may wait`);
    assert.deepEqual(await read(stream, 199), Array.from({ length: 199 }, (_, i) => [i + 1]));
  },
);

test(
  "callbacks and replies do not wait for a slow reader, which gets a lost event",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const stream = s.bus.messages({ limit: 10 });
    let calls = 0;
    s.bus.addCallback(ID, "counts", () => calls++);
    for (let i = 0; i < 200; i++) s.arrive({ data: bytes(i) });
    await settle();
    assert.equal(calls, 200);
    // The batch that fills it is whole; of the next ones it has nothing.
    const items = await read(stream, 33);
    assert.deepEqual([items[0], items[31], items[32]], [[0], [31], "-168 reader"]);
  },
);

test(
  "messages() with groups joins them while it is open and yields only their messages",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const all = s.bus.messages();
    const some = s.bus.messages({ groups: [12, 13, 13] });
    assert.deepEqual(s.bus.groups(), [12, 13]);
    s.arrive({ data: bytes(1) }, { port: 7, group: 12 });
    s.arrive({ data: bytes(2) }, { port: 7, group: 14 });
    s.arrive({ data: bytes(3) }, { port: 7 });
    s.arrive({ data: bytes(4) }, { port: 7, group: 13 });
    assert.deepEqual(await read(some, 2), [[1], [4]]);
    assert.deepEqual(await read(all, 4), [[1], [2], [3], [4]]);
    await some.return!();
    assert.deepEqual(s.bus.groups(), []);
    s.system.libc.answers("setsockopt", () => undefined, -ERRNO.EPERM!);
    assert.throws(() => s.bus.messages({ groups: [13, 14] }), /Cannot join group 14.*EPERM/);
    assert.deepEqual(s.bus.groups(), [], "what was joined before the refusal is left");
  },
);

test("each receiver of a message gets its own bytes", { timeout: 60_000 }, async () => {
  await using s = stage();
  const streams = [s.bus.messages(), s.bus.messages()];
  s.bus.addCallback(ID, "scribbles", ({ data }) => data.fill(0));
  s.arrive({ data: bytes(1, 2) });
  await settle();
  const [first, second] = [
    (await streams[0]!.next()).value as ReceivedMessage,
    (await streams[1]!.next()).value,
  ];
  first.data.fill(9);
  assert.deepEqual([...(second as ReceivedMessage).data], [1, 2]);
});

test("replies appear in no stream, messages for callbacks do", { timeout: 60_000 }, async () => {
  await using s = stage();
  s.bus.addCallback(ID, "mine", () => {});
  const stream = s.bus.messages();
  const asked = s.bus.request(ID, bytes(), { port: 7, seq: 5, ack: 6 });
  s.arrive({ seq: 5, ack: 7, data: bytes(1) });
  s.arrive({ seq: 5, ack: 6, data: bytes(2) });
  assert.deepEqual([...(await asked).data], [1]);
  assert.deepEqual(await read(stream, 1), [[2]]);
});

test(
  "messages() ends without an error with the connector, and with the reason of its signal",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const aborter = new AbortController();
    const [peaceful, aborted] = [s.bus.messages(), s.bus.messages({ signal: aborter.signal, groups: [12] })];
    const [end, reason] = [peaceful.next(), aborted.next()];
    aborter.abort(new Error("enough"));
    await assert.rejects(reason, /enough/);
    assert.deepEqual(s.bus.groups(), []);
    s.bus.close();
    assert.equal((await end).done, true);
    assert.throws(() => stage().bus.messages({ limit: 0 }), /limit must be 1 or more/);
  },
);

test(
  "the connector's signal closes it: everything that waits gets the reason",
  { timeout: 60_000 },
  async () => {
    const aborter = new AbortController();
    await using s = stage({ signal: aborter.signal });
    const [next, asked] = [s.bus.messages().next(), s.bus.request(ID, bytes(), { port: 7 })];
    s.bus.addCallback(ID, "mine", () => {});
    aborter.abort(new Error("enough"));
    await assert.rejects(next, /enough/);
    await assert.rejects(asked, /enough/);
    assert.equal(isClosed(s.bus), true);
    assert.throws(() => stage({ signal: aborter.signal }), /enough/);
  },
);

test("by default programs are not trusted for identifiers of the kernel", { timeout: 60_000 }, async () => {
  await using s = stage();
  let calls = 0;
  const stream = s.bus.messages();
  for (const idx of [1, 3, 21]) s.bus.addCallback({ idx, val: 1 }, "driver's", () => calls++);
  for (const port of [7, 0]) {
    for (const idx of [1, 3, 21]) {
      s.arrive({ id: { idx, val: 1 }, data: bytes(idx, port) }, { port, group: idx });
    }
    s.arrive({ id: { idx: 22, val: 1 }, data: bytes(22, port) }, { port });
  }
  assert.deepEqual(await read(stream, 5), [[22, 7], [1, 0], [3, 0], [21, 0], [22, 0]]);
  assert.deepEqual([s.bus.stats().untrusted, calls], [3, 3]);
  assert.equal(s.bus.stats().untrustedSenders.reduce((sum, { count }) => sum + count, 0), 3);
});

test("a policy decides for callbacks, replies and streams alike", { timeout: 60_000 }, async () => {
  const uid1000 = { pid: 1, uid: 1000, gid: 1000 };
  const policies = [
    { trust: "kernel", sees: ["0"] },
    { trust: "anyone", sees: ["0", "7", "8"] },
    { trust: (sender: { port: number }) => sender.port === 8, sees: ["8"] },
    { trust: (_: unknown, id: { val: number }) => id.val !== 1, sees: [] },
    {
      trust: ({ credentials }: { credentials?: { uid: number } }) => credentials?.uid === 1000,
      sees: ["7"],
    },
  ] as const;
  for (const { trust, sees } of policies) {
    await using s = stage({ trust: trust as never, credentials: true });
    const [streamed, called, replied] = [[], [], []] as string[][];
    s.bus.addCallback(ID, "mine", ({ from }) => called!.push(String(from.port)));
    const stream = s.bus.messages();
    const replies = s.bus.requestMany(ID, bytes(), { group: 20, seq: 5, ack: 6, timeoutMs: 40 });
    for (const port of [0, 7, 8]) {
      const credentials = port === 7 ? uid1000 : undefined;
      const from = { port, ...(credentials === undefined ? {} : { credentials }) };
      s.arrive({ seq: 1 }, from);
      s.arrive({ seq: 5, ack: 7 }, from);
    }
    for await (const { from } of replies) replied!.push(String(from.port));
    s.bus.close();
    for await (const item of stream) if (item.type === "message") streamed!.push(String(item.from.port));
    assert.deepEqual([called, replied, streamed], [sees, sees, sees]);
  }
});

test("a trust policy that throws trusts nobody, and is reported", async () => {
  await using s = stage({
    trust: () => {
      throw new Error("broken");
    },
  });
  s.bus.addCallback(ID, "mine", () => assert.fail("must not be trusted"));
  s.arrive({});
  await settle();
  assert.deepEqual(s.failures.map(([, failed]) => failed), ["trust"]);
  assert.equal(s.bus.stats().untrusted, 1);
});

test("invalid options are refused", () => {
  assert.throws(() => stage({ latencyMs: -1 }), /latencyMs must be 0 to 1000/);
  assert.throws(() => stage({ receiveBufferBytes: 0 }), /receiveBufferBytes must be 1/);
  assert.throws(() => stage({ firstSeq: 2 ** 32 }), /firstSeq must be/);
});
