import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type IdentifierWatch,
  type IdentifierWatchOptions,
  watchIdentifiersOn,
} from "../../lib/connector/identifiers.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import { CONNECTOR_ID, decodeNotifyRequest } from "../../lib/connector/notification.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { type FakeSystem, fakeSystem } from "../support/fake_poller.ts";
import { busList, countedSignal, decodeSent, kernelList, settle, whole } from "./support.ts";

const IN_31 = 1 << 30;

function open(options: IdentifierWatchOptions = {}): { system: FakeSystem; watch: IdentifierWatch } {
  const system = fakeSystem();
  system.libc.files.write("/proc/net/connector", kernelList([[1, 1, "cn_proc"]]));
  system.libc.files.write("/proc/net/netlink", busList([[system.libc.pid, IN_31], [7, IN_31], [8, 0]]));
  return { system, watch: watchIdentifiersOn(system, { pollMs: 20, ...options }) };
}

/** The next events, as "+20:1 port" and "-20:1 port"; "=" where it was there already. */
async function read(watch: IdentifierWatch, count: number): Promise<string[]> {
  const all: string[] = [];
  for (let i = 0; i < count; i++) {
    const { value } = await watch.next();
    const sign = value!.type === "unregistered" ? "-" : value!.existing ? "=" : "+";
    all.push(
      `${sign}${value!.id.idx}:${value!.id.val} ${value!.where} ${value!.port}${
        value!.name ? ` ${value!.name}` : ""
      }`,
    );
  }
  return all;
}

/** Port 7 says that it has 20:val, or has no more. */
function says(system: FakeSystem, val: number, ack: number, group = 31, port = 7): void {
  const bytes = encodeDatagram(whole({ id: { idx: 20, val }, ack }));
  system.libc.receives("all", { bytes, from: { port, group } });
}

const limits = { timeout: 60_000 };

test(
  "IdentifierWatch reports the kernel's identifiers, beginning with the existing ones",
  limits,
  async () => {
    const { system, watch } = open({ agents: false });
    await using _ = watch;
    assert.deepEqual(await read(watch, 1), ["=1:1 kernel 0 cn_proc"]);
    const next = read(watch, 1);
    system.libc.files.write("/proc/net/connector", kernelList([[1, 1, "cn_proc"], [20, 4, "loaded"]]));
    assert.deepEqual(await next, ["+20:4 kernel 0 loaded"]);
    system.libc.files.write("/proc/net/connector", kernelList([[20, 4, "loaded"]]));
    assert.deepEqual(await read(watch, 1), ["-1:1 kernel 0 cn_proc"]);
    assert.equal(watch.kernelUnseen, undefined);
    system.libc.files.remove("/proc/net/connector");
    assert.deepEqual(await read(watch, 1), ["-20:4 kernel 0 loaded"]);
    assert.match(
      watch.kernelUnseen!.message,
      /^Cannot watch identifiers: this is not the initial network namespace/,
    );
  },
);

test(
  "IdentifierWatch polls the lists only while a next() is pending",
  limits,
  async () => {
    const { system, watch } = open({ agents: false, pollMs: 30 });
    await using _ = watch;
    const reads = (): number => system.libc.calls.filter(({ name }) => name === "open").length;
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(reads(), 0);
    await watch.next();
    const before = reads();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(reads(), before);
    const waiting = watch.next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    const during = reads() - before;
    assert.ok(during >= 1 && during <= 5, `${during} reads in 100 ms`);
    watch.close();
    assert.equal((await waiting).done, true);
  },
);

test(
  "IdentifierWatch sends each program in group 31 one notification request",
  limits,
  async () => {
    const { system, watch } = open({ idx: [{ first: 20, range: 3 }] });
    const first = watch.next();
    await new Promise((resolve) => setTimeout(resolve, 70));
    const [probe, asked, ...more] = system.libc.sent.map(decodeSent);
    assert.equal(probe!.port, system.libc.pid, "the first question is to ourselves: whether we may");
    assert.deepEqual([asked!.port, asked!.groups, asked!.id, more.length], [7, 0, CONNECTOR_ID, 0]);
    assert.deepEqual(decodeNotifyRequest(asked!.data), {
      idx: [{ first: 20, range: 3 }],
      val: [{ first: 0, range: 0xffff_ffff }],
      group: 31,
    });
    watch.close();
    const takenBack = system.libc.sent.map(decodeSent).at(-1)!;
    assert.deepEqual([takenBack.port, decodeNotifyRequest(takenBack.data).group], [7, 0]);
    assert.equal((await first).done, true);
    system.libc.assertAllClosed();
  },
);

test("IdentifierWatch reports what programs announce", limits, async () => {
  const { system, watch } = open();
  await using _ = watch;
  assert.deepEqual(await read(watch, 1), ["=1:1 kernel 0 cn_proc"]);
  says(system, 1, 0, 0); // an answer to the question, to us alone
  says(system, 1, 0);
  says(system, 2, 0);
  says(system, 2, 7); // neither 0 nor 1
  says(system, 2, 1, 31, 8); // another's
  says(system, 2, 1);
  says(system, 2, 1);
  says(system, 1, 1);
  assert.deepEqual(await read(watch, 4), [
    "=20:1 agent 7",
    "+20:2 agent 7",
    "-20:2 agent 7",
    "-20:1 agent 7",
  ]);
});

test(
  "IdentifierWatch ignores messages with a payload, or for other identifiers",
  limits,
  async () => {
    const { system, watch } = open({ idx: [{ first: 20, range: 1 }], val: [{ first: 5, range: 1 }] });
    await using _ = watch;
    const next = read(watch, 1);
    system.libc.receives("all", {
      bytes: encodeDatagram(whole({ id: { idx: 20, val: 5 }, ack: 0, data: new Uint8Array(1) })),
      from: { port: 7, group: 31 },
    });
    says(system, 4, 0);
    says(system, 5, 0, 31, 0); // the kernel does not announce
    says(system, 5, 0);
    assert.deepEqual(await next, ["+20:5 agent 7"]);
  },
);

test(
  "IdentifierWatch detects programs that end without an announcement, and sends requests to new ones",
  limits,
  async () => {
    const { system, watch } = open();
    await using _ = watch;
    says(system, 1, 0);
    assert.deepEqual((await read(watch, 2)).sort(), ["+20:1 agent 7", "=1:1 kernel 0 cn_proc"]);
    system.libc.files.write("/proc/net/netlink", busList([[9, IN_31]]));
    assert.deepEqual(await read(watch, 1), ["-20:1 agent 7"]);
    says(system, 3, 0, 0, 9);
    assert.deepEqual(await read(watch, 1), ["=20:3 agent 9"]);
    const asked = (port: number): number =>
      system.libc.sent.map(decodeSent).filter((it) => it.port === port).length;
    assert.deepEqual([asked(7), asked(9)], [1, 1]);
    // Another program may get the same port.
    system.libc.files.write("/proc/net/netlink", busList([[7, IN_31]]));
    assert.deepEqual(await read(watch, 1), ["-20:3 agent 9"]);
    assert.equal(asked(7), 2);
  },
);

test(
  "IdentifierWatch repeats its requests after a loss, and drops what is not announced again",
  limits,
  async () => {
    const { system, watch } = open();
    await using _ = watch;
    says(system, 1, 0);
    says(system, 2, 0);
    await read(watch, 3);
    system.libc.answers("recvmmsg", () => {
      system.libc.sockets[0]!.drops += 3;
      return undefined;
    });
    system.libc.onSend = ({ port }) => {
      if (port === 7) says(system, 2, 0, 0); // only the second is left
    };
    says(system, 2, 0);
    assert.deepEqual(await read(watch, 1), ["-20:1 agent 7"]);
  },
);

test(
  "IdentifierWatch without permission to send watches only the kernel, and reports why",
  limits,
  async () => {
    const system = fakeSystem();
    system.libc.answers("sendto", -ERRNO.EPERM!);
    system.libc.files.write("/proc/net/connector", kernelList([[1, 1, "cn_proc"]]));
    {
      await using watch = watchIdentifiersOn(system, {});
      assert.match(watch.agentsUnseen!.message, /Cannot send to 4294967295:4294967295: .*EPERM/);
      assert.deepEqual(await read(watch, 1), ["=1:1 kernel 0 cn_proc"]);
    }
    system.libc.answers("setsockopt", () => undefined, () => undefined, -ERRNO.EPERM!);
    assert.throws(() => watchIdentifiersOn(system, { agents: true }), /Cannot join group 31: .*EPERM/);
    await settle();
    system.libc.assertAllClosed();
  },
);

test("IdentifierWatch leaves no reaction on a promise that outlives its polls", limits, async (context) => {
  const { watch } = open({ pollMs: 1 });
  await using _ = watch;
  await watch.next();
  const reactions = new Map<unknown, number>();
  const { then } = Promise.prototype;
  context.mock.method(
    Promise.prototype,
    "then",
    function (this: Promise<unknown>, ...args: Parameters<typeof then>) {
      reactions.set(this, (reactions.get(this) ?? 0) + 1);
      return then.apply(this, args);
    } as typeof then,
  );
  const waiting = watch.next();
  await new Promise((resolve) => setTimeout(resolve, 200)); // some dozens of polls, and nothing comes
  watch.close();
  await waiting;
  context.mock.restoreAll();
  const most = Math.max(0, ...reactions.values());
  assert.ok(most <= 2, `${most} reactions on one promise`);
});

test("IdentifierWatch serves several next() in order, and close() ends them all", limits, async () => {
  const { system, watch } = open({ pollMs: 2_000_000 });
  await watch.next();
  const [first, second, third, fourth] = [watch.next(), watch.next(), watch.next(), watch.next()];
  says(system, 1, 0);
  says(system, 2, 0);
  assert.equal((await first).value!.id.val, 1);
  assert.equal((await second).value!.id.val, 2);
  watch.close();
  assert.deepEqual([(await third).done, (await fourth).done], [true, true]);
  await settle();
  system.libc.assertAllClosed();
});

test("IdentifierWatch without programs: close() ends every pending next()", limits, async () => {
  const { watch } = open({ agents: false, pollMs: 2_000_000 });
  await watch.next();
  const waiting = [watch.next(), watch.next()];
  await settle();
  watch.close();
  assert.deepEqual((await Promise.all(waiting)).map(({ done }) => done), [true, true]);
});

test("IdentifierWatch reports a socket error between two next() to the second one", limits, async () => {
  const { system, watch } = open();
  assert.deepEqual(await read(watch, 1), ["=1:1 kernel 0 cn_proc"]);
  says(system, 1, 0);
  assert.deepEqual(await read(watch, 1), ["+20:1 agent 7"]);
  says(system, 2, 0);
  assert.deepEqual(await read(watch, 1), ["+20:2 agent 7"]);
  const waiting = watch.next(); // the socket is listened to from here on
  system.libc.files.write("/proc/net/connector", kernelList([]));
  assert.equal((await waiting).value!.type, "unregistered");
  system.libc.receives("all", -ERRNO.EBADF!, -ERRNO.EBADF!);
  await settle();
  await assert.rejects(watch.next(), /EBADF/);
  assert.equal((await watch.next()).done, true);
});

test(
  "IdentifierWatch ends when the iteration returns, and with the reason of its signal",
  limits,
  async () => {
    const { system, watch } = open();
    for await (const _ of watch) break;
    assert.equal((await watch.next()).done, true);
    const aborter = new AbortController();
    const aborted = watchIdentifiersOn(system, { pollMs: 60_000, signal: aborter.signal });
    await aborted.next();
    const waiting = aborted.next();
    setTimeout(() => aborter.abort(new Error("enough")), 10);
    await assert.rejects(waiting, /enough/);
    assert.equal((await aborted.next()).done, true);
    await settle();
    system.libc.assertAllClosed();
    assert.throws(() => watchIdentifiersOn(system, { pollMs: 0 }), /pollMs must be/);
    const { signal, listeners } = countedSignal();
    watchIdentifiersOn(system, { signal }).close();
    assert.equal(listeners(), 0);
  },
);
