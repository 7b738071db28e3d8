import assert from "node:assert/strict";
import { test } from "node:test";
import { ClosedError } from "../../lib/errors/closed_error.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import type { ReceivedMessage } from "../../lib/connector/sender.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { TimeoutError } from "../../lib/errors/timeout_error.ts";
import {
  busList,
  bytes,
  countedSignal,
  decodeSent,
  ID,
  kernelList,
  settle,
  type Stage,
  stage,
} from "./support.ts";

const DRIVER = { idx: 21, val: 1 };

/** Answers every question with its own payload, from the port that was asked, or from 7 where a group was. */
function echo(s: Stage): void {
  s.system.libc.onSend = (datagram) => {
    const { id, seq, ack, data, port, groups } = decodeSent(datagram);
    s.arrive({ id, seq, ack: (ack + 1) >>> 0, data }, { port: groups === 0 ? port : 7 });
  };
}

test("request() returns the reply: same identifier and number, ack plus one, from the port that was addressed", async () => {
  await using s = stage({ firstSeq: 0xffff_ffff });
  echo(s);
  const reply = await s.bus.request(ID, bytes(1, 2), { port: 8, ack: 0xffff_ffff });
  assert.deepEqual([[...reply.data], reply.from.port, reply.seq, reply.ack], [[1, 2], 8, 0xffff_ffff, 0]);
  assert.equal((await s.bus.request(ID, bytes(), { port: 8 })).seq, 0, "sequence numbers wrap");
  const { inFlight, replies } = s.bus.stats();
  assert.deepEqual([inFlight, replies], [0, 2]);
});

test("request() goes to the kernel if it serves the identifier, else to the group of its idx", async () => {
  await using s = stage();
  echo(s);
  assert.equal((await s.bus.request(DRIVER, bytes(1))).from.port, 0);
  assert.equal((await s.bus.request(ID, bytes(1))).from.port, 7);
  s.system.libc.files.write("/proc/net/connector", kernelList([[20, 1, "loaded this moment"]]));
  assert.equal((await s.bus.request(ID, bytes(1))).from.port, 0);
  assert.deepEqual(s.sent().map(({ port, groups }) => [port, groups]), [[0, 0], [0, 1 << 19], [0, 0]]);
  await assert.rejects(s.bus.request({ idx: 4000, val: 1 }, bytes()), /ENODEV: .*choose a receiver by/);
  await assert.rejects(
    s.bus.request({ idx: 22, val: 1 }, bytes()),
    /ESRCH: no other program is in group 22/,
  );
});

test("request() finds the kernel's reply without a wake-up: it is queued when the send returns", async () => {
  await using s = stage();
  echo(s);
  for (let i = 0; i < 10; i++) await s.bus.request(DRIVER, bytes(i));
  assert.equal(s.bus.stats().wakeUps, 0);
  s.bus.addCallback(ID, "waits to be woken", () => {});
  await settle();
  for (let i = 0; i < 200; i++) await s.bus.request(DRIVER, bytes(i));
  // When the event loop gets its turn, the poller is faster.
  assert.ok(s.bus.stats().wakeUps < 100, `${s.bus.stats().wakeUps} wake-ups for 200 questions`);
});

test("many requests can be pending, and replies arrive in any order", async () => {
  await using s = stage();
  const asked: ReturnType<typeof decodeSent>[] = [];
  s.system.libc.onSend = (datagram) => void asked.push(decodeSent(datagram));
  const answers = Promise.all(
    Array.from({ length: 300 }, (_, i) => s.bus.request(ID, bytes(i & 255, i >> 8), { port: 7 })),
  );
  await settle();
  assert.equal(s.bus.stats().inFlight, 300);
  for (const { seq, ack, data } of asked.reverse()) s.arrive({ seq, ack: (ack + 1) >>> 0, data });
  (await answers).forEach(({ data }, i) => assert.deepEqual([...data], [i & 255, i >> 8]));
});

test("request() is not misled by forged replies, and counts them", async () => {
  await using s = stage();
  s.system.libc.onSend = (datagram) => {
    const { seq, ack } = decodeSent(datagram);
    s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(66) }, { port: 8 }); // forged: not whom we asked
    s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(66) }, { port: 7, family: 2 }); // no netlink sender
    s.arrive({ seq, ack, data: bytes(66) }); // a new message: acknowledge number
    s.arrive({ seq: seq + 1, ack: (ack + 1) >>> 0, data: bytes(66) }); // a new message: sequence number
    s.arrive({ id: DRIVER, seq, ack: (ack + 1) >>> 0 }); // the kernel's identifier from a program
    s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(1) }); // the reply
    s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(66) }); // again
  };
  const reply = await s.bus.request(ID, bytes(), { port: 7 });
  await settle();
  await s.bus.request(ID, bytes(), { port: 7, seq: 5 });
  assert.deepEqual([...reply.data], [1]);
  const { forged, malformed, unclaimed, untrusted, duplicates, replies } = s.bus.stats();
  assert.deepEqual({ forged, malformed, unclaimed, untrusted, duplicates, replies }, {
    forged: 2,
    malformed: 2,
    unclaimed: 4,
    untrusted: 2,
    duplicates: 2,
    replies: 2,
  });
});

test("request() times out, and a reply after that is late", { timeout: 60_000 }, async () => {
  await using s = stage();
  s.bus.addCallback(ID, "keeps receiving", () => {});
  const start = performance.now();
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, timeoutMs: 50 }), (error) => {
    assert.ok(error instanceof TimeoutError);
    assert.equal(error.message, "Cannot get an answer from 20:1: nothing came within 50 ms");
    return true;
  });
  const waited = performance.now() - start;
  assert.ok(waited >= 49 && waited < 2000, `waited ${waited} ms`);
  const { seq, ack } = s.sent()[0]!;
  s.arrive({ seq, ack: (ack + 1) >>> 0 });
  await settle();
  assert.deepEqual([s.bus.stats().late, s.bus.stats().inFlight], [1, 0]);
});

test("request() retries with the same numbers, as often as given", { timeout: 60_000 }, async () => {
  await using s = stage();
  await assert.rejects(s.bus.request(ID, bytes(4), { port: 7, timeoutMs: 900, retries: 2 }), TimeoutError);
  const sent = s.sent();
  assert.equal(sent.length, 3);
  for (const { seq, ack, data } of sent) {
    assert.deepEqual([seq, ack, [...data]], [sent[0]!.seq, sent[0]!.ack, [4]]);
  }
  assert.equal(s.bus.stats().repeats, 2);

  let questions = 0;
  s.system.libc.onSend = (datagram) => {
    const { seq, ack } = decodeSent(datagram);
    if (++questions === 2) s.arrive({ seq, ack: (ack + 1) >>> 0 });
  };
  await s.bus.request(ID, bytes(), { port: 7, timeoutMs: 2000, retries: 40 });
  assert.equal(questions, 2);
});

test("request() sends again if the queue was full, which is not a retry", { timeout: 60_000 }, async () => {
  await using s = stage();
  echo(s);
  s.system.libc.answers("sendto", ...Array.from({ length: 5 }, () => -ERRNO.EAGAIN!));
  await s.bus.request(ID, bytes(), { port: 7, timeoutMs: 5000 });
  assert.deepEqual([s.system.libc.names("sendto").length, s.sent().length, s.bus.stats().repeats], [
    6,
    1,
    0,
  ]);
  s.system.libc.answers("sendto", ...Array.from({ length: 1000 }, () => -ERRNO.EAGAIN!));
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, timeoutMs: 60 }), TimeoutError);
});

test(
  "request() retries with the original payload, even if the caller changes the bytes",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const data = bytes(1);
    const asked = s.bus.request(ID, data, { port: 7, timeoutMs: 600, retries: 1 });
    data[0] = 9;
    await assert.rejects(asked, TimeoutError);
    s.system.libc.answers("sendto", -ERRNO.EAGAIN!);
    data[0] = 1;
    const late = s.bus.request(ID, data, { port: 7, timeoutMs: 600 });
    data[0] = 9;
    await assert.rejects(late, TimeoutError);
    assert.deepEqual(s.sent().map((it) => [...it.data]), [[1], [1], [1]]);
  },
);

test(
  "consecutive requests to the kernel let the event loop run",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    echo(s);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    // On a busy machine a turn takes as long as it takes; without one there would be none in all this time.
    const end = performance.now() + 8000;
    while (turns < 5 && performance.now() < end) await s.bus.request(DRIVER, bytes(1));
    clearInterval(timer);
    assert.equal(turns, 5);
  },
);

test("request() rejects if a retry cannot be sent", { timeout: 60_000 }, async () => {
  await using s = stage();
  s.system.libc.answers("sendto", () => undefined, -ERRNO.ECONNREFUSED!);
  await assert.rejects(
    s.bus.request(ID, bytes(), { port: 7, timeoutMs: 600, retries: 1 }),
    /no socket .* port 7/,
  );
  assert.equal(s.bus.stats().inFlight, 0);
});

test("request() rejects with the reason of its signal", { timeout: 60_000 }, async () => {
  await using s = stage();
  const aborter = new AbortController();
  const waiting = s.bus.request(ID, bytes(), { port: 7, timeoutMs: 5000, signal: aborter.signal });
  await settle();
  aborter.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, signal: aborter.signal }), /enough/);
  assert.deepEqual([s.sent().length, s.bus.stats().inFlight], [1, 0]);
});

test("request() refuses invalid options, and a number that is in use", async () => {
  await using s = stage();
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, timeoutMs: 0 }), /timeoutMs must be above 0/);
  await assert.rejects(
    s.bus.request(ID, bytes(), { port: 7, retries: -1 }),
    /retries must be a whole number from 0 to/,
  );
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, retries: 0.5 }), RangeError);
  const first = s.bus.request(ID, bytes(), { port: 7, seq: 9 });
  await assert.rejects(
    s.bus.request(DRIVER, bytes(), { port: 7, seq: 9 }),
    /number 9 is that of a request in flight/,
  );
  s.bus.close();
  await assert.rejects(first, ClosedError);
});

test("request() leaves nothing pending when it cannot be sent", async () => {
  await using s = stage();
  s.system.libc.answers("sendto", -ERRNO.EPERM!);
  await assert.rejects(s.bus.request(ID, bytes(), { port: 7, seq: 9 }), /EPERM/);
  assert.equal(s.bus.stats().inFlight, 0);
  echo(s);
  await s.bus.request(ID, bytes(), { port: 7, seq: 9 });
});

test("isReply decides instead of the documents' rule; if it throws, the message is new", async () => {
  await using s = stage();
  s.system.libc.onSend = (datagram) => {
    const { seq, ack } = decodeSent(datagram);
    s.arrive({ seq, ack: (ack + 1) >>> 0 });
    s.arrive({ seq, ack: 77 });
  };
  const reply = await s.bus.request(ID, bytes(), { port: 7, isReply: ({ ack }) => ack === 77 });
  assert.equal(reply.ack, 77);
  const broken = s.bus.request(ID, bytes(), {
    port: 7,
    isReply: ({ ack }) => {
      if (ack !== 77) throw new Error("broken");
      return true;
    },
  });
  assert.equal((await broken).ack, 77);
  assert.deepEqual(s.failures.map(([, failed]) => failed), ["isReply"]);
});

test(
  "requestMany() yields every reply until the timeout, which is not an error",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    s.system.libc.onSend = (datagram) => {
      const { seq, ack } = decodeSent(datagram);
      for (let i = 0; i < 5; i++) {
        s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(i) }, {
          port: i % 2 ? 7 : 8,
        });
      }
    };
    const got: ReceivedMessage[] = [];
    for await (const reply of s.bus.requestMany(ID, bytes(), { group: 20, timeoutMs: 50 })) got.push(reply);
    assert.deepEqual(got.map(({ data, from }) => [data[0], from.port]), [[0, 8], [1, 7], [2, 8], [3, 7], [
      4,
      8,
    ]]);
    assert.equal(s.bus.stats().inFlight, 0);
  },
);

test(
  "requestMany() ends by count, by until, by return(), and by the signal",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    s.system.libc.onSend = (datagram) => {
      const { seq, ack } = decodeSent(datagram);
      for (let i = 0; i < 5; i++) s.arrive({ seq, ack: (ack + 1) >>> 0, data: bytes(i) });
    };
    const long = { port: 7, timeoutMs: 60_000 };
    const take = async (options: object): Promise<number[]> => {
      const got: number[] = [];
      for await (const { data } of s.bus.requestMany(ID, bytes(), { ...long, ...options })) {
        got.push(
          data[0]!,
        );
      }
      return got;
    };
    assert.deepEqual(await take({ count: 2 }), [0, 1]);
    assert.deepEqual(await take({ until: ({ data }: ReceivedMessage) => data[0] === 3 }), [0, 1, 2, 3]);
    for await (const _ of s.bus.requestMany(ID, bytes(), long)) break;
    const aborter = new AbortController();
    const aborted = take({ signal: aborter.signal });
    await settle();
    aborter.abort(new Error("enough"));
    await assert.rejects(aborted, /enough/);
    const closed = take({});
    await settle();
    s.bus.close();
    await assert.rejects(closed, ClosedError);
    assert.equal(s.bus.stats().inFlight, 0);
  },
);

test(
  "a request whose reply was queued while the program was busy does not time out",
  { timeout: 60_000 },
  async () => {
    await using s = stage();
    const waiting = s.bus.request(ID, bytes(), { port: 7, timeoutMs: 30 });
    await settle();
    const { seq, ack } = s.sent()[0]!;
    // Queued, but the poller does not say so before the timer.
    s.system.libc.onReadable = undefined;
    s.system.libc.receives("all", {
      bytes: encodeDatagram({ id: ID, seq, ack: (ack + 1) >>> 0, flags: 0, data: bytes(1) }),
      from: { port: 7 },
    });
    assert.equal((await waiting).data[0], 1);
  },
);

test("the list of the group is read before each multicast request", async () => {
  await using s = stage();
  echo(s);
  s.system.libc.files.write("/proc/net/netlink", busList([[s.bus.port, 1 << 19]]));
  await assert.rejects(s.bus.request(ID, bytes()), /no other program/);
  s.system.libc.files.write("/proc/net/netlink", busList([[s.bus.port, 1 << 19], [7, 1 << 19]]));
  await s.bus.request(ID, bytes());
});

test("no listener stays on a signal that outlives the connector", { timeout: 60_000 }, async () => {
  const { signal, listeners } = countedSignal();
  {
    await using s = stage({ signal });
    echo(s);
    await s.bus.request(ID, bytes(), { port: 7, signal });
    for await (const _ of s.bus.requestMany(ID, bytes(), { port: 7, signal })) break;
    assert.equal(listeners(), 1, "the connector's own");
    s.system.libc.onSend = undefined;
    await assert.rejects(s.bus.request(ID, bytes(), { port: 7, signal, timeoutMs: 5 }), TimeoutError);
    s.system.libc.answers("sendto", -ERRNO.EPERM!);
    await assert.rejects(s.bus.request(ID, bytes(), { port: 7, signal }), /EPERM/);
    const stream = s.bus.messages({ signal });
    assert.equal(listeners(), 2);
    await stream.return!();
    s.bus.messages({ signal });
  }
  assert.equal(listeners(), 0);
});
