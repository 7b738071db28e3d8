import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { encodeCnMsg, MAX_DATA_TO_KERNEL } from "../../lib/connector/message.ts";
import { encodeNlmsghdrInto } from "../../lib/netlink/message.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import {
  inspectBus,
  type LostEvent,
  openConnector,
  type ReceivedMessage,
  SyscallError,
  TimeoutError,
  watchProcesses,
} from "../../mod.ts";
import { emulated, Peer, randomId, whyNoBus } from "../connector/kernel.ts";
import { eventually, sleep } from "../support/kernel.ts";
import { AckListener } from "../support/listener.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { readFileSync } from "node:fs";

const skip = await whyNoBus();
const limits = { skip, timeout: emulated ? 120_000 : 30_000 };
const [major, minor] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
const oddGroupsAreFree = major! > 6 || (major === 6 && minor! >= 6);
const TIMEOUT_MS = emulated ? 20_000 : 5000;

type Stream = AsyncIterator<ReceivedMessage | LostEvent, undefined>;

async function nextMessage(stream: Stream): Promise<ReceivedMessage> {
  const { value } = await stream.next();
  assert.equal(value?.type, "message", JSON.stringify(value));
  return value as ReceivedMessage;
}

function hasCode(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof SyscallError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

test("a callback in another process replies, and knows the sender", limits, async () => {
  const id = randomId();
  await using agent = Peer.start(runtime === "deno" ? "bun" : "deno", "agent", id.idx, id.val);
  const { port } = await agent.line<{ port: number }>();
  await using bus = await openConnector();
  for (const [to, group] of [[{}, id.idx], [{ group: id.idx }, id.idx], [{ port }, 0]] as const) {
    const reply = await bus.request(id, new Uint8Array(7), { ...to, timeoutMs: TIMEOUT_MS });
    assert.deepEqual([reply.from.port, reply.from.group, reply.from.credentials], [port, 0, undefined]);
    const { pid, getuid, getgid } = process;
    assert.deepEqual(JSON.parse(new TextDecoder().decode(reply.data)), {
      from: { port: bus.port, group, credentials: { pid, uid: getuid!(), gid: getgid!() } },
      bytes: 7,
    });
  }
});

test("a message to a group reaches every member but the sender, and no other group", limits, async () => {
  const id = randomId(14);
  await using sender = await openConnector();
  await using first = await openConnector();
  await using second = await openConnector();
  await using other = await openConnector();
  const inboxes = [first, second].map((bus) => bus.messages({ groups: [14] }));
  const [own, others] = [sender.messages({ groups: [14] }), other.messages({ groups: [15, 16] })];
  const numbers = sender.send(id, new Uint8Array([5]), { group: 14, flags: 3 });
  for (const inbox of inboxes) {
    let message = await nextMessage(inbox);
    while (message.id.val !== id.val) message = await nextMessage(inbox); // messages of others in this group
    const { seq, ack, flags, data, from } = message;
    assert.deepEqual({ seq, ack }, numbers);
    assert.deepEqual([flags, [...data], from.port, from.group], [3, [5], sender.port, 14]);
  }
  await sleep(50);
  sender.close();
  other.close();
  for (const stream of [own, others]) {
    for await (const item of stream) assert.ok(item.type === "lost" || item.id.val !== id.val);
  }
});

test(
  "send() reports what the kernel does not: no listener, no such port, no such identifier",
  limits,
  async () => {
    await using bus = await openConnector();
    const { sockets } = await inspectBus();
    const taken = new Set(sockets.flatMap(({ groups }) => groups));
    const empty = [27, 28, 29, 30].find((group) => !taken.has(group))!;
    const id = randomId(empty);
    bus.join(empty);
    assert.throws(
      () => bus.send(id, new Uint8Array(1), { group: empty }),
      hasCode("ESRCH", /no other program/),
    );
    assert.throws(
      () => bus.send(id, new Uint8Array(1), { port: 0xffff_fff1 }),
      hasCode("ECONNREFUSED", /no socket/),
    );
    assert.throws(
      () => bus.send(id, new Uint8Array(1), { port: 0 }),
      hasCode("ENODEV", /the kernel does not serve/),
    );
    assert.throws(() => bus.send(id, new Uint8Array(1)), hasCode("ENODEV", /no callback here/));
  },
);

test("groups 1 to 32 can be joined, listed and left", limits, async () => {
  await using bus = await openConnector();
  const free = Array.from({ length: 31 }, (_, i) => i + 2); // group 1 is in use
  for (const group of free) bus.join(group);
  assert.deepEqual(bus.groups(), free);
  const own = (await inspectBus()).sockets.find(({ port }) => port === bus.port)!;
  assert.deepEqual(own.groups, free);
  assert.ok(own.owners.some(({ pid }) => pid === process.pid));
  for (const group of free) bus.leave(group);
  assert.deepEqual(bus.groups(), []);
});

/** One netlink message of `len` bytes with these parts in sequence, followed by zeros. */
function datagram(len: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(len));
  let at = encodeNlmsghdrInto(new DataView(bytes.buffer), 0, { len, type: 3, flags: 0, seq: 0, pid: 0 });
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

test("the largest message between programs arrives whole, and a longer one is counted", limits, async () => {
  const id = randomId();
  await using service = await openConnector();
  service.addCallback(id, "reverses", ({ data }, reply) => reply(data.toReversed()));
  await using client = await openConnector();
  const data = new Uint8Array(65_535).map((_, i) => i % 251);
  for (const to of [{ port: service.port }, { group: id.idx }]) {
    const answer = await client.request(id, data, { ...to, timeoutMs: TIMEOUT_MS });
    assert.deepEqual(answer.data, data.toReversed());
  }
  assert.throws(() => client.send(id, new Uint8Array(65_536), { port: service.port }), /up to 65535 bytes/);

  const { libc } = await openSystem("test");
  using raw = NetlinkSocket.open(libc, "test");
  const largest = encodeCnMsg({ id, seq: 1, ack: 1, flags: 0, data });
  const { messages } = service.stats();
  for (const more of [1, 2]) { // one byte more only uses the padding of the largest
    const len = 16 + 20 + 65_535 + more;
    assert.equal(raw.send(datagram(len, largest), service.port), len);
  }
  await eventually("the last datagram", () => service.stats().malformed > 0);
  assert.equal(service.stats().malformed, 1);
  assert.equal(service.stats().messages, messages + 1);
});

test("the kernel handles messages up to its limit, and silently drops longer ones", limits, async () => {
  const { libc } = await openSystem("test");
  using raw = NetlinkSocket.open(libc, "test");
  // Without a subscriber the kernel acknowledges nothing.
  await using _subscribed = await watchProcesses({ events: ["coredump"] });
  using acknowledgements = await AckListener.open();
  const drawn = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
  /** How often the kernel replies to a message with this many bytes after the netlink header. */
  const answers = (bytes: number): number => {
    const ack = drawn + bytes;
    const noOperation = Uint8Array.of(99, 0, 0, 0); // acknowledged with EINVAL, without any other effect
    const message = encodeCnMsg({ id: { idx: 1, val: 1 }, seq: 1, ack, flags: 0, data: noOperation });
    assert.equal(raw.send(datagram(16 + bytes, message)), 16 + bytes);
    return acknowledgements.count(ack + 1);
  };
  const limit = MAX_DATA_TO_KERNEL + 20;
  assert.equal(answers(24), 1);
  assert.equal(answers(limit + 1), 0);
  assert.equal(answers(limit), 1);
});

test("several messages in one datagram arrive separately", limits, async () => {
  const id = randomId();
  const { libc } = await openSystem("test");
  using raw = NetlinkSocket.open(libc, "test");
  await using bus = await openConnector();
  const inbox = bus.messages();
  const parts = [1, 2, 3].map((n) =>
    encodeCnMsg({ id, seq: n, ack: 0, flags: 0, data: new Uint8Array(n).fill(n) })
  );
  const len = 16 + parts.reduce((sum, part) => sum + part.length, 0);
  assert.equal(raw.send(datagram(len, ...parts), bus.port), len);
  for (const n of [1, 2, 3]) {
    const { seq, data, from } = await nextMessage(inbox);
    assert.deepEqual([seq, [...data], from.port], [n, Array(n).fill(n), raw.port]);
  }
});

test("a program that poses as the kernel is not trusted, not even as root", limits, async () => {
  const { libc } = await openSystem("test");
  using raw = NetlinkSocket.open(libc, "test");
  const id = { idx: 1, val: 1 };
  const forged = encodeCnMsg({ id, seq: 0, ack: 0, flags: 0, data: new Uint8Array(40) });
  const datagram = new Uint8Array(new ArrayBuffer(16 + forged.length));
  const header = { len: datagram.length, type: 3, flags: 0, seq: 0, pid: 0 };
  datagram.set(forged, encodeNlmsghdrInto(new DataView(datagram.buffer), 0, header));
  await using careful = await openConnector();
  await using gullible = await openConnector({ trust: "anyone" });
  const [own, other] = [careful.messages(), gullible.messages()];
  for (const bus of [careful, gullible]) raw.send(datagram, bus.port);
  assert.deepEqual((await nextMessage(other)).id, id);
  const waiting = own.next();
  await eventually("the forgery", () => careful.stats().received > 0);
  careful.close();
  assert.equal((await waiting).done, true);
  assert.equal(careful.stats().untrusted, 1);
});

test(
  "lost messages are counted where they are missing: delivered plus lost is what was sent",
  limits,
  async () => {
    const id = randomId();
    const COUNT = 500;
    await using sender = await openConnector();
    await using bus = await openConnector({ receiveBufferBytes: 16_384 });
    const inbox = bus.messages({ groups: [id.idx] });
    for (let i = 0; i < COUNT; i++) sender.send(id, new Uint8Array([i & 255, i >> 8]), { group: id.idx });
    const order: number[] = [];
    let lost = 0;
    while (order.length + lost < COUNT) {
      const { value } = await inbox.next();
      if (value!.type === "lost") {
        assert.equal(value!.where, "kernel");
        lost += value!.count!;
      } else if (value!.id.val === id.val) {
        order.push(value!.data[0]! | value!.data[1]! << 8);
      }
    }
    assert.deepEqual(order, order.map((_, i) => i), "the first ones, in their order");
    assert.ok(lost > 0 && bus.stats().lost === lost, `${lost} lost`);
    const own = (await inspectBus()).sockets.find(({ port }) => port === bus.port)!;
    assert.equal(own.drops, lost);
    sender.send(id, new Uint8Array([9]), { group: id.idx });
    assert.deepEqual([...(await nextMessage(inbox)).data], [9], "there is room again at once");
  },
);

test("a receiver with a full queue is reported, and a request waits for room", limits, async () => {
  const id = randomId();
  await using service = await openConnector({ receiveBufferBytes: 16_384 });
  await using client = await openConnector();
  let sent = 0;
  assert.throws(() => {
    for (; sent < 10_000; sent++) client.send(id, new Uint8Array(100), { port: service.port });
  }, hasCode("EAGAIN", /the receiver's buffer is full/));
  assert.ok(sent > 0);
  const asked = client.request(id, new Uint8Array(1), { port: service.port, timeoutMs: TIMEOUT_MS });
  await sleep(20);
  service.addCallback(id, "reads at last", (_, reply) => reply(new Uint8Array([1])));
  assert.deepEqual([...(await asked).data], [1]);
  assert.equal(client.stats().repeats, 0);
});

test("a missing reply is a timeout, after the given number of retries", limits, async () => {
  const id = randomId();
  await using silent = await openConnector();
  await using bus = await openConnector();
  const seen: ReceivedMessage[] = [];
  silent.addCallback(id, "silent", (message) => seen.push(message));
  const asked = bus.request(id, new Uint8Array(1), {
    port: silent.port,
    timeoutMs: emulated ? 9000 : 900,
    retries: 2,
  });
  await assert.rejects(asked, TimeoutError);
  // A busy machine may be too slow for the last one.
  const { repeats } = bus.stats();
  assert.ok(repeats >= 1 && repeats <= 2, `${repeats} repeats`);
  await eventually("every question", () => seen.length === 1 + repeats);
  assert.equal(new Set(seen.map(({ seq, ack }) => `${seq} ${ack}`)).size, 1, "with the same numbers");
});

test("several members of a group reply to one request", limits, async () => {
  const id = randomId();
  const services = await Promise.all([1, 2, 3].map(() => openConnector()));
  try {
    services.forEach((bus, i) =>
      bus.addCallback(id, "one of many", (_, reply) => reply(new Uint8Array([i])))
    );
    await using client = await openConnector();
    const answers = new Map<number, number>();
    for await (
      const { data, from } of client.requestMany(id, new Uint8Array(), { count: 3, timeoutMs: TIMEOUT_MS })
    ) {
      answers.set(data[0]!, from.port);
    }
    assert.deepEqual([...answers].sort(), services.map(({ port }, i) => [i, port]));
  } finally {
    for (const bus of services) bus.close();
  }
});

test("a request to a program that ends is refused by the kernel", limits, async () => {
  const id = randomId();
  await using bus = await openConnector();
  const gone = await openConnector();
  const { port } = gone;
  gone.close();
  await assert.rejects(
    bus.request(id, new Uint8Array(), { port }),
    hasCode("ECONNREFUSED", /no socket .* has port/),
  );
});

const isRoot = process.getuid!() === 0;
test(
  "for user nobody the error names the missing capability",
  { ...limits, skip: skip || (isRoot ? false : "wants root") },
  async () => {
    await using bus = await openConnector();
    bus.join(21);
    const own = command(runtime, join(root, "tests/connector/programs/unprivileged.ts"));
    await using nobody = Peer.run(
      ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...own, String(bus.port)],
      { env: { ...process.env, HOME: "/tmp", NO_COLOR: "1" } },
    );
    const said = await nobody.line<Record<string, { code: string; message: string }>>();
    const { odd, even, toProgram, toGroup, toKernel } = said;
    assert.equal(odd!.code, oddGroupsAreFree ? "ok" : "EPERM");
    assert.equal(even!.code, "EPERM");
    assert.match(even!.message, /Cannot join group 22: .*CAP_NET_ADMIN.*group 22 is even/);
    for (const refused of [toProgram!, toGroup!]) {
      assert.equal(refused.code, "EPERM");
      assert.match(refused.message, /requires CAP_NET_ADMIN in the initial user namespace/);
    }
    assert.equal(toKernel!.code, "ok");
    assert.match(String(said.agentsUnseen), /EPERM/);
    assert.equal(said.firstIdentifier, "cn_proc");
  },
);

test("programs communicate in another network namespace as well, without the kernel", {
  ...limits,
  skip: emulated ? "the host's kernel is enough" : skip || (isRoot ? false : "wants root"),
}, async () => {
  const own = command(runtime, join(root, "tests/connector/programs/namespace.ts"));
  await using program = Peer.run(["unshare", "-n", ...own]);
  assert.deepEqual(await program.line(), {
    answers: [1, 2],
    received: 2,
    reason: "network-namespace",
    identifiers: null,
  });
});
