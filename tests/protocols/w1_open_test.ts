import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connector } from "../../lib/connector/connector.ts";
import { decodeCnMsgs } from "../../lib/connector/message.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { TimeoutError } from "../../lib/errors/timeout_error.ts";
import { W1_CMD_RESET, W1_MASTER_ADD, W1_SLAVE_REMOVE } from "../../lib/protocols/w1/constants.ts";
import {
  encodeW1Commands,
  encodeW1Messages,
  masterIdBytes,
  parseSlaveId,
} from "../../lib/protocols/w1/message.ts";
import { openW1, type W1, type W1Options } from "../../lib/protocols/w1/open.ts";
import { NOBODY_PRESENT } from "../../lib/protocols/w1/explain_refusal.ts";
import { foundSlaves, W1Error, W1Replies, W1Transaction } from "../../lib/protocols/w1/transaction.ts";
import { viewOf } from "../../lib/wire/bytes.ts";
import { FakeW1Driver } from "./vectors/fake_w1.ts";
import { Pair, whyNoBus } from "./vectors/pair.ts";
import * as vectors from "./vectors/w1.ts";

const skip = await whyNoBus({ idx: 3, val: 1 });

async function withDriver(
  run: (w1: W1, driver: FakeW1Driver, connector: Connector) => Promise<void>,
  options: W1Options = {},
): Promise<void> {
  await using pair = await Pair.open();
  const driver = new FakeW1Driver(pair.kernel);
  await using w1 = await openW1({ connector: pair.program, port: pair.kernel.port, ...options });
  await run(w1, driver, pair.program);
}

function isW1Error(status: number): (error: unknown) => boolean {
  return (error) => error instanceof W1Error && error.status === status;
}

test("masters() lists the masters, in any number of messages", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    assert.deepEqual(await w1.masters(), [1]);
    for (const master of [2, 3, 4]) driver.masters.set(master, []);
    assert.deepEqual(await w1.masters(), [1, 2, 3, 4]); // two full messages
    driver.masters.clear();
    assert.deepEqual(await w1.masters(), []);
  });
});

test("search(), alarmSearch() and slaves() find slaves, in several messages or none", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    const slaves = ["28-0000deadbe02", "28-0000deadbe01", "01-000012345678"];
    const master = w1.master(1);
    assert.deepEqual(await master.search(), slaves);
    assert.deepEqual(await master.slaves(), slaves);
    assert.deepEqual(await master.alarmSearch(), ["28-0000deadbe02"]);
    driver.masters.set(1, []);
    assert.deepEqual(await master.search(), []);
  });
});

test("commands of a transaction get their own results", { skip }, async () => {
  await withDriver(async (w1, driver, connector) => {
    driver.reads.push(1, 2, 3, 4);
    const transaction = w1.master(1).transaction().reset().write(Uint8Array.of(0xcc, 0xbe)).read(3).read(1);
    const results = await w1.run(transaction);
    assert.deepEqual(results.map(({ command, status, data }) => [command, status, [...data]]), [
      ["reset", 0, []],
      ["write", 0, []],
      ["read", 0, [1, 2, 3]],
      ["read", 0, [4]],
    ]);
    assert.deepEqual(driver.written, [0xcc, 0xbe]);
    assert.equal(connector.stats().stray, 1);
  });
});

test("a slave is read, written, queried and touched", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    const slave = w1.slave("28-0000deadbe01");
    driver.reads.push(1, 2, 3, 4);
    assert.deepEqual([...await slave.read(1)], [1]);
    await slave.write(Uint8Array.of(9));
    assert.deepEqual([...await slave.query(Uint8Array.of(0xbe), 2)], [2, 3]);
    assert.deepEqual([...await slave.touch(Uint8Array.of(0xff))], [4]);
    assert.deepEqual(driver.written, [9, 0xbe]);
    assert.throws(() => w1.slave("28.0000deadbe01"), TypeError);
  });
});

test("reset() returns whether any slave is present", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    assert.equal(await w1.master(1).reset(), true);
    driver.present = false;
    assert.equal(await w1.master(1).reset(), false);
    const transaction = w1.master(1).transaction().reset().read(1);
    await assert.rejects(w1.run(transaction), isW1Error(NOBODY_PRESENT));
  });
});

test("slaves are added and removed, once", { skip }, async () => {
  await withDriver(async (w1) => {
    const master = w1.master(1);
    await master.addSlave("28-0000deadbe03");
    assert.ok((await master.slaves()).includes("28-0000deadbe03"));
    await assert.rejects(master.addSlave("28-0000deadbe03"), isW1Error(ERRNO.EINVAL!));
    await master.removeSlave("28-0000deadbe03");
    await assert.rejects(master.removeSlave("28-0000deadbe03"), isW1Error(ERRNO.EINVAL!));
  });
});

test(
  "a missing slave is a W1Error with the kernel's status and the results so far",
  { skip },
  async () => {
    await withDriver(async (w1, driver) => {
      await assert.rejects(w1.master(99).search(), isW1Error(ERRNO.ENODEV!));
      await assert.rejects(w1.slave("28-090909090909").read(1), isW1Error(ERRNO.ENODEV!));
      driver.silent.add("28-0000deadbe01");
      const message = /^Cannot ask 28-0000deadbe01: .*\(ENODEV\)$/;
      const silent = w1.slave("28-0000deadbe01").query(Uint8Array.of(0xbe), 9);
      await assert.rejects(silent, { name: "W1Error", message, status: ERRNO.ENODEV! });
      driver.reads.push(7);
      await assert.rejects(w1.run(w1.master(1).transaction().add(77).read(1)), (error) => {
        assert.ok(error instanceof W1Error);
        assert.equal(error.message.startsWith("Cannot run command 77 at master 1"), true);
        assert.deepEqual(error.results.map(({ status, data }) => [status, [...data]]), [[22, []], [0, [7]]]);
        return true;
      });
    });
  },
);

test(
  "several transactions go in one message, and one that fails does not prevent the others",
  { skip },
  async () => {
    await withDriver(async (w1, driver) => {
      driver.reads.push(1, 2);
      const first = w1.master(1).transaction().reset().read(1);
      const second = w1.slave("28-0000deadbe01").transaction().read(1);
      const before = driver.requests;
      const results = await w1.runAll([first, second]);
      assert.equal(driver.requests, before + 1);
      assert.deepEqual(results.map((all) => [...all.at(-1)!.data]), [[1], [2]]);
      driver.reads.push(3);
      const gone = w1.master(99).transaction().search();
      await assert.rejects(w1.runAll([gone, second]), (error) => {
        assert.ok(error instanceof W1Error && error.status === ERRNO.ENODEV!);
        assert.deepEqual(error.results.map(({ status, data }) => [status, [...data]]), [[19, []], [0, [3]]]);
        return true;
      });
      assert.deepEqual(await w1.runAll([]), []);
    });
  },
);

test("many requests at the same time get their own replies", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    driver.reads.push(...Array.from({ length: 100 }, (_, i) => i));
    const all = await Promise.all(Array.from({ length: 100 }, () => w1.master(1).read(1)));
    assert.deepEqual(all.map(([byte]) => byte), Array.from({ length: 100 }, (_, i) => i));
  });
});

test("a silent driver is a TimeoutError, and a signal stops waiting", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    driver.mute = true;
    await assert.rejects(w1.masters({ timeoutMs: 50 }), TimeoutError);
    await assert.rejects(w1.master(1).read(1), TimeoutError);
    const reason = new Error("enough");
    const abort = new AbortController();
    const waiting = w1.master(1).search({ timeoutMs: 60_000, signal: abort.signal });
    abort.abort(reason);
    await assert.rejects(waiting, reason);
  }, { timeoutMs: 100 });
});

test("a transaction without commands is refused", { skip }, async () => {
  await withDriver(async (w1) => {
    await assert.rejects(w1.run(w1.master(1).transaction()), RangeError);
  });
});

test("events() reports what is added and removed from the call on", { skip }, async () => {
  await withDriver(async (w1, driver, connector) => {
    const events = w1.events();
    driver.event(W1_MASTER_ADD, masterIdBytes(7));
    driver.event(W1_SLAVE_REMOVE, parseSlaveId("28-0000deadbe02"));
    assert.deepEqual((await events.next()).value, { type: "master_add", master: 7 });
    assert.deepEqual((await events.next()).value, { type: "slave_remove", slave: "28-0000deadbe02" });
    await events.return?.();
    assert.deepEqual(connector.groups(), []);
    const unread = w1.events();
    assert.deepEqual(connector.groups(), [3]);
    await unread.return?.();
    assert.deepEqual(connector.groups(), []);
  });
});

test("pending next() of events() each get an event, also from one message", { skip }, async () => {
  await withDriver(async (w1, driver) => {
    const events = w1.events();
    const pending = [events.next(), events.next(), events.next()];
    driver.event(W1_MASTER_ADD, masterIdBytes(7), masterIdBytes(8), masterIdBytes(9));
    assert.deepEqual(
      (await Promise.all(pending)).map(({ value }) => value),
      [7, 8, 9].map((master) => ({
        type: "master_add",
        master,
      })),
    );
    await events.return();
  });
});

test("a kernel without 1-wire is an error that says so", { skip }, async () => {
  await using w1 = await openW1();
  await assert.rejects(w1.masters(), (error) => error instanceof SyscallError && error.code === "ENODEV");
});

test("W1Replies reads a captured bundle: statuses and data in several cn_msg", () => {
  const transaction = W1Transaction.forMaster(1).reset().write(Uint8Array.of(0xcc, 0xbe)).read(9);
  const answers = new W1Replies([transaction], 0);
  const bytes = vectors.bundleReplyDatagram;
  const seen = decodeCnMsgs(viewOf(bytes), 0, bytes.length).map((message) => {
    answers.addReply(message, message.data);
    return answers.complete;
  });
  assert.deepEqual(seen, [false, false, true]);
  const [[reset, write, read]] = answers.resultsOrThrow() as [[unknown, unknown, { data: Uint8Array }]];
  assert.deepEqual([reset, write], [
    { command: "reset", status: 0, data: new Uint8Array() },
    { command: "write", status: 0, data: new Uint8Array() },
  ]);
  assert.equal(read.data[0]! | (read.data[1]! << 8), 0x191);
});

test("W1Replies ignores replies to other transactions and to commands that were not sent", () => {
  const answers = new W1Replies([W1Transaction.forMaster(2).read(9)], 0);
  const bytes = vectors.bundleReplyDatagram;
  for (const message of decodeCnMsgs(viewOf(bytes), 0, bytes.length)) answers.addReply(message, message.data);
  assert.equal(answers.complete, false);
  assert.deepEqual(answers.results()[0]!.map(({ status }) => status), [undefined]);
  const other = new W1Replies([W1Transaction.forMaster(1).add(W1_CMD_RESET + 50)], 0);
  for (const message of decodeCnMsgs(viewOf(bytes), 0, bytes.length)) other.addReply(message, message.data);
  assert.equal(other.complete, false);
});

test("W1Replies: a refusal for lack of memory applies to all later transactions as well", () => {
  const answers = new W1Replies(
    [W1Transaction.forMaster(99).search(), W1Transaction.forMaster(1).read(1)],
    0,
  );
  const refusal = vectors.unknownMasterReply.slice();
  refusal[1] = ERRNO.ENOMEM!;
  answers.addReply({ id: { idx: 3, val: 1 }, seq: 1, ack: 0, flags: 0 }, refusal);
  assert.equal(answers.complete, true);
  assert.throws(() => answers.resultsOrThrow(), isW1Error(ERRNO.ENOMEM!));
});

test("a refusal describes what could not be done, and why", () => {
  const slave = "28-0000deadbe03";
  const cases: readonly (readonly [W1Transaction, string])[] = [
    [
      W1Transaction.forMaster(1).addSlave(slave),
      `add ${slave} to master 1: the kernel already knows this slave`,
    ],
    [
      W1Transaction.forMaster(1).removeSlave(slave),
      `remove ${slave} from master 1: the kernel knows no such slave on this bus`,
    ],
    [W1Transaction.forMaster(1).add(6), "add a slave to master 1: the kernel already knows this slave"],
    [W1Transaction.forMaster(1).reset(), "reset at master 1: the kernel does not accept this command"],
    [W1Transaction.forMaster(1).search(), "search at master 1: the kernel does not accept this command"],
    [
      W1Transaction.forMaster(1).alarmSearch(),
      "search for alarms at master 1: the kernel does not accept this command",
    ],
    [
      W1Transaction.forMaster(1).listSlaves(),
      "list the slaves of master 1: the kernel does not accept this command",
    ],
    [
      W1Transaction.forMaster(1).add(77),
      "run command 77 at master 1: the kernel does not accept this command",
    ],
    [W1Transaction.forSlave(slave).read(8), `read from ${slave}: the kernel does not accept this command`],
    [
      W1Transaction.forSlave(slave).write(Uint8Array.of(1)),
      `write to ${slave}: the kernel does not accept this command`,
    ],
    [
      W1Transaction.forSlave(slave).touch(Uint8Array.of(1)),
      `touch ${slave}: the kernel does not accept this command`,
    ],
    [
      W1Transaction.forSlave(slave).addSlave(slave),
      `add ${slave} to ${slave}: the kernel does not accept this command`,
    ],
  ];
  for (const [transaction, text] of cases) {
    const answers = new W1Replies([transaction], 5);
    const [command] = transaction.commands();
    const data = encodeW1Commands([{ ...command!, data: new Uint8Array() }]);
    const header = { id: { idx: 3, val: 1 }, seq: 1, ack: 5, flags: 0 };
    answers.addReply(header, encodeW1Messages([{ ...transaction.message(), status: ERRNO.EINVAL!, data }]));
    assert.throws(() => answers.resultsOrThrow(), { name: "W1Error", message: `Cannot ${text} (EINVAL)` });
  }
});

test("foundSlaves() rejects a slave with a wrong CRC", () => {
  const data = parseSlaveId("28-0000deadbe01");
  const result = { command: "search", status: 0, data };
  assert.deepEqual(foundSlaves("master 1", result), ["28-0000deadbe01"]);
  data[7]! ^= 1;
  assert.throws(() => foundSlaves("master 1", result), isW1Error(ERRNO.EBADMSG!));
});
