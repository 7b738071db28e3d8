// openConnector() against callbacks in the kernel: each of them, and what the documents say of it, is in the table at
// the top of ../module/cn_counterpart.c.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { after, afterEach, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type CbId,
  type Connector,
  type IdentifierEvent,
  openConnector,
  type ReceivedMessage,
  SyscallError,
  TimeoutError,
  watchIdentifiers,
} from "../../../mod.ts";
import { connectorIds, insmod, skipWithout, unload } from "./support.ts";

const options = { skip: skipWithout("cn_counterpart"), timeout: 280_000 };
const PATIENT = { timeoutMs: 20_000 };
const [ENODEV, EINVAL, ESRCH] = [-19, -22, -3];

function id(val: number): CbId {
  return { idx: 20, val };
}

/** Words in the order of the host, as the module reads them. */
function words(...values: number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

function word(data: Uint8Array, index: number): number {
  return new Uint32Array(data.slice(index * 4, index * 4 + 4).buffer)[0]!;
}

function signed(data: Uint8Array, index = 0): number {
  return word(data, index) | 0;
}

describe("openConnector() and the kernel", () => {
  let bus: Connector;
  before(async () => {
    if (options.skip === false) await insmod("cn_counterpart");
  });
  after(async () => {
    if (options.skip === false) await unload("cn_counterpart");
  });
  afterEach(() => bus?.close());

  test(
    "a message reaches the callback of its identifier; the reply has its numbers, with ack plus one",
    options,
    async () => {
      bus = await openConnector();
      const data = new TextEncoder().encode("hello");
      const reply = await bus.request(id(1), data, { seq: 0xffff_fffe, ack: 41, flags: 0xabcd, ...PATIENT });
      const { seq, ack, flags, from } = reply;
      assert.deepEqual([reply.id, seq, ack, flags, [...reply.data]], [id(1), 0xffff_fffe, 42, 0xabcd, [
        ...data,
      ]]);
      assert.deepEqual(from, { port: 0, group: 0, credentials: undefined });
      const wrapped = await bus.request(id(1), new Uint8Array(), { ack: 0xffff_ffff, ...PATIENT });
      assert.deepEqual([wrapped.ack, wrapped.data.length], [0, 0]);
    },
  );

  test("the kernel's reply is queued when the send returns, without waiting", options, async () => {
    bus = await openConnector();
    for (let i = 0; i < 100; i++) await bus.request(id(1), words(i), PATIENT);
    assert.equal(bus.stats().wakeUps, 0);
  });

  test("sequence numbers increase by one with each message, and wrap at 2^32", options, async () => {
    bus = await openConnector({ firstSeq: 0xffff_ffce });
    await bus.request(id(9), words(1), PATIENT);
    for (let i = 0; i < 100; i++) bus.send(id(5), new Uint8Array(i), { port: 0 });
    const { data } = await bus.request(id(9), words(1), PATIENT);
    const [messages, bytes, lastSeq, jumps] = [word(data, 0), word(data, 2), word(data, 4), word(data, 5)];
    assert.deepEqual([messages, bytes, lastSeq, jumps], [100, 4950, (0xffff_ffce + 100) >>> 0, 0]);
  });

  test("a reply to the group reaches its members", options, async () => {
    bus = await openConnector();
    await assert.rejects(bus.request(id(2), words(1), { timeoutMs: 1000 }), TimeoutError);
    bus.join(20);
    const reply = await bus.request(id(2), words(2), PATIENT);
    assert.deepEqual([word(reply.data, 0), reply.from.port, reply.from.group], [2, 0, 20]);
  });

  test("several messages in one datagram are several replies", options, async () => {
    bus = await openConnector();
    const replies: number[] = [];
    for await (
      const { data } of bus.requestMany(id(3), new Uint8Array([...words(64), 7]), { count: 64, ...PATIENT })
    ) {
      assert.deepEqual([data.length, data[4]], [5, 7]);
      replies.push(word(data, 0));
    }
    assert.deepEqual(replies, Array.from({ length: 64 }, (_, i) => i));
    const { received, messages } = bus.stats();
    assert.deepEqual([received, messages], [1, 64]);
  });

  test("messages to the group arrive in order and are not replies", options, async () => {
    bus = await openConnector();
    const stream = bus.messages({ groups: [20] });
    const asked = await bus.request(id(4), words(50, 100), { seq: 1000, ...PATIENT });
    assert.deepEqual([word(asked.data, 0), word(asked.data, 1)], [50, 0]);
    for (let i = 0; i < 50; i++) {
      const { value } = await stream.next();
      assert.equal(value?.type, "message");
      const { seq, ack, data, from } = value as ReceivedMessage;
      assert.deepEqual([seq, ack, data.length, word(data, 0), from.port, from.group], [
        1000 + i,
        asked.ack - 1 >>> 0,
        100,
        i,
        0,
        20,
      ]);
    }
  });

  test("the kernel's send to a group without listeners fails", options, async () => {
    bus = await openConnector();
    const { data } = await bus.request(id(4), words(50), PATIENT);
    assert.deepEqual([word(data, 0), word(data, 1), signed(data, 2)], [0, 1, ESRCH]);
    assert.equal(signed((await bus.request(id(12), words(25), PATIENT)).data), ESRCH);
  });

  test(
    "an overflowing queue loses messages, and every loss is counted where it happened",
    options,
    async () => {
      const sender = await openConnector();
      try {
        bus = await openConnector({ receiveBufferBytes: 65_536 });
        const stream = bus.messages({ groups: [20] });
        const COUNT = 5000;
        await sender.request(id(4), words(COUNT), PATIENT);
        let [got, lost] = [0, 0];
        while (got + lost < COUNT) {
          const { value } = await stream.next();
          if (value!.type === "lost") lost += value!.count!;
          else got++;
        }
        assert.ok(got > 0 && lost > 0, `${got} received, ${lost} lost`);
        assert.deepEqual([got + lost, bus.stats().lost], [COUNT, lost]);
        await sender.request(id(4), words(1), PATIENT);
        assert.equal((await stream.next()).value?.type, "message", "there is room again at once");
      } finally {
        sender.close();
      }
    },
  );

  test("the kernel sees the sender: port, process, user", options, async () => {
    bus = await openConnector();
    const { data } = await bus.request(id(6), new Uint8Array(), PATIENT);
    const seen = [0, 1, 2, 3, 4].map((i) => word(data, i));
    assert.deepEqual(seen, [bus.port, process.pid, process.getuid!(), process.getgid!(), 0]);
  });

  test("credentials of the kernel's messages are all zero", options, async () => {
    bus = await openConnector({ credentials: true });
    const { from } = await bus.request(id(1), new Uint8Array(), PATIENT);
    assert.deepEqual(from.credentials, { pid: 0, uid: 0, gid: 0 });
  });

  test("replies arrive in any order, and are matched to their requests", options, async () => {
    bus = await openConnector();
    const order: number[] = [];
    const delays = [900, 600, 300, 0];
    await Promise.all(delays.map(async (delay) => {
      const { data } = await bus.request(id(7), words(delay, delay + 1), PATIENT);
      assert.equal(word(data, 0), delay + 1);
      order.push(delay);
    }));
    assert.deepEqual(order, delays.toReversed());
  });

  test("a reply after the timeout is late, and a second one is a duplicate", options, async () => {
    bus = await openConnector();
    await assert.rejects(bus.request(id(7), words(500), { timeoutMs: 100 }), TimeoutError);
    assert.equal((await bus.request(id(10), words(7), PATIENT)).data.length, 4);
    await bus.request(id(7), words(1500), PATIENT);
    const { late, duplicates, replies } = bus.stats();
    assert.deepEqual({ late, duplicates, replies }, { late: 1, duplicates: 1, replies: 2 });
  });

  test("the largest messages arrive whole in both directions, larger ones are refused", options, async () => {
    bus = await openConnector();
    for (const size of [16_384, 65_535]) {
      const { data } = await bus.request(id(8), words(size), PATIENT);
      assert.equal(data.length, size);
      assert.ok(data.every((byte, i) => byte === (i & 255)));
    }
    const data = new Uint8Array(16_364).map((_, i) => i % 253);
    assert.deepEqual((await bus.request(id(1), data, PATIENT)).data, data);
    await assert.rejects(bus.request(id(1), new Uint8Array(16_365), PATIENT), RangeError);
  });

  test("group 0 is the group of the registered identifier, else ENODEV", options, async () => {
    bus = await openConnector();
    const stream = bus.messages({ groups: [20] });
    assert.ok(signed((await bus.request(id(11), new Uint8Array(), PATIENT)).data) >= 0);
    const { value } = await stream.next();
    assert.deepEqual([(value as ReceivedMessage).id, (value as ReceivedMessage).from.group], [id(11), 20]);
    assert.ok(signed((await bus.request(id(11), words(20, 5, 99), PATIENT)).data) >= 0);
    const other = (await stream.next()).value as ReceivedMessage;
    assert.deepEqual([other.id, word(other.data, 0)], [id(5), 99]);
    assert.equal(signed((await bus.request(id(11), words(20, 4711), PATIENT)).data), ENODEV);
    assert.throws(() => bus.send(id(4711), new Uint8Array()), (error) => {
      return error instanceof SyscallError && error.errno === -ENODEV;
    });
  });

  test("a given group gets the message, whatever its identifier", options, async () => {
    bus = await openConnector();
    const stream = bus.messages({ groups: [25] });
    assert.ok(signed((await bus.request(id(12), words(25, 5), PATIENT)).data) >= 0);
    const { from, data, ...message } = (await stream.next()).value as ReceivedMessage;
    assert.deepEqual([message.id, from.group, word(data, 0)], [id(12), 25, 5]);
  });

  test("an identifier that is taken is refused with EINVAL, in the kernel and here", options, async () => {
    bus = await openConnector();
    assert.equal(signed((await bus.request(id(13), new Uint8Array(), PATIENT)).data), EINVAL);
    assert.equal(signed((await bus.request(id(13), words(20, 4711), PATIENT)).data), 0);
    bus.addCallback(id(4711), "ours", () => {});
    assert.throws(() => bus.addCallback(id(4711), "again", () => {}), (error) => {
      return error instanceof SyscallError && error.errno === -EINVAL;
    });
  });

  test(
    "an identifier that the kernel does not serve is reported, even while modules are loaded and unloaded",
    options,
    async () => {
      bus = await openConnector();
      const extra = id(100);
      const unserved = (error: unknown): boolean => error instanceof SyscallError && error.errno === -ENODEV;
      assert.throws(() => bus.send(extra, new Uint8Array(), { port: 0 }), unserved);
      assert.equal(signed((await bus.request(id(14), words(1), PATIENT)).data), 0);
      assert.equal(connectorIds().get("20:100"), "cnc_extra");
      assert.equal(word((await bus.request(extra, words(8), PATIENT)).data, 0), 8);
      assert.equal(signed((await bus.request(id(14), words(0), PATIENT)).data), 0);
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.throws(() => bus.send(extra, new Uint8Array(), { port: 0 }), unserved);
    },
  );

  test("a payload that is too short gets the module's reply", options, async () => {
    bus = await openConnector();
    const { flags, data } = await bus.request(id(12), new Uint8Array(1), PATIENT);
    assert.deepEqual([flags, data.length], [0xffff, 0]);
  });

  test("a program cannot reply in place of the kernel", options, async () => {
    bus = await openConnector();
    const forger = await openConnector();
    try {
      const asked = bus.request(id(7), words(1000, 1), { seq: 5, ack: 6, ...PATIENT });
      forger.send(id(7), words(666), { port: bus.port, seq: 5, ack: 7 });
      assert.equal(word((await asked).data, 0), 1);
      assert.equal(bus.stats().untrusted, 1);
    } finally {
      forger.close();
    }
  });

  test(
    "64 requests in flight to the kernel, 2,000 in total, alongside a C program that does the same",
    options,
    async () => {
      bus = await openConnector();
      const ask = async (count: number): Promise<void> => {
        let next = 0;
        await Promise.all(Array.from({ length: 64 }, async () => {
          while (next < count) {
            const number = next++;
            assert.equal(word((await bus.request(id(1), words(number, 0, 0, 0), PATIENT)).data, 0), number);
          }
        }));
      };
      await ask(500);
      const start = performance.now();
      await ask(2000);
      const ours = Math.round(2000 / (performance.now() - start) * 1000);
      const program = "/run/cn_echo";
      const source = fileURLToPath(new URL("../../../bench/c/cn_echo.c", import.meta.url));
      const built = spawnSync("gcc", ["-O1", "-pthread", "-o", program, source], { encoding: "utf8" });
      assert.equal(built.status, 0, built.stderr);
      const { stdout } = spawnSync(program, ["client", "20", "1", "0", "2000", "64"], {
        encoding: "utf8",
        timeout: 60_000,
      });
      const theirs = (JSON.parse(stdout) as { perSecond: number }).perSecond;
      console.log(`requests per second to the module: ${ours}, a C program: ${theirs}`);
    },
  );
});

describe("watchIdentifiers() and the kernel", () => {
  /** The next event of the kernel's with such an identifier. */
  async function next(
    events: AsyncIterator<IdentifierEvent, undefined>,
    val: number,
  ): Promise<IdentifierEvent> {
    while (true) {
      const { value } = await events.next();
      if (value!.where === "kernel" && value!.id.idx === 20 && value!.id.val === val) return value!;
    }
  }

  test("reports a module's callbacks when it is loaded and when it is unloaded", options, async () => {
    await using watch = await watchIdentifiers({ pollMs: 50 });
    const first = await watch.next();
    assert.deepEqual([first.value!.name, first.value!.existing], ["cn_proc", true]);
    await insmod("cn_counterpart");
    const bus = await openConnector();
    try {
      const { type, name, existing } = await next(watch, 1);
      assert.deepEqual([type, name, existing], ["registered", "cnc_echo", false]);
      await bus.request(id(14), words(1, 200), PATIENT);
      assert.equal((await next(watch, 200)).type, "registered");
      await bus.request(id(14), words(0, 200), PATIENT);
      assert.equal((await next(watch, 200)).type, "unregistered");
    } finally {
      bus.close();
      await unload("cn_counterpart");
    }
    assert.equal((await next(watch, 1)).type, "unregistered");
  });
});
