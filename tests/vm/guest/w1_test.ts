// openW1() against the kernel's own 1-wire driver: with a bus in software whose slaves answer bit by bit, and with the
// stock driver of a DS2482.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { afterEach, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openConnector } from "../../../lib/connector/connector.ts";
import { ERRNO } from "../../../lib/errors/errno.ts";
import { crc8 } from "../../../lib/protocols/w1/message.ts";
import type { W1StreamEvent } from "../../../lib/protocols/w1/events.ts";
import { openW1, type W1 } from "../../../lib/protocols/w1/open.ts";
import { W1Error } from "../../../lib/protocols/w1/transaction.ts";
import {
  eventually,
  insmod,
  load,
  setSoftW1,
  setUpDs2482,
  setUpSoftW1,
  skipWithout,
  SOFT_W1_SLAVES,
  tearDownDs2482,
  tearDownSoftW1,
  unload,
} from "./support.ts";

const SKIP_ROM = 0xcc;
const CONVERT = 0x44;
const READ_SCRATCHPAD = 0xbe;
const WRITE_SCRATCHPAD = 0x4e;

const soft = { skip: skipWithout("w1_soft", "wire", "w1_therm") };
const [THERMOMETER_1, THERMOMETER_2] = SOFT_W1_SLAVES;

function isW1Error(status: number): (error: unknown) => boolean {
  return (error) => error instanceof W1Error && error.status === status;
}

async function temperature(w1: W1, slave: string): Promise<number> {
  await w1.slave(slave).write(Uint8Array.of(CONVERT));
  const scratchpad = await w1.slave(slave).query(Uint8Array.of(READ_SCRATCHPAD), 9);
  assert.equal(crc8(scratchpad), 0, `scratchpad ${[...scratchpad]}`);
  return new DataView(scratchpad.buffer, scratchpad.byteOffset).getInt16(0, true) / 16;
}

describe("openW1()", () => {
  afterEach(async () => await tearDownSoftW1());

  test("finds masters and slaves, with collisions in the search", soft, async () => {
    await setUpSoftW1();
    await using w1 = await openW1();
    assert.deepEqual(await w1.masters(), [1]);
    const master = w1.master(1);
    assert.deepEqual((await master.search()).toSorted(), SOFT_W1_SLAVES.toSorted());
    assert.deepEqual((await master.slaves()).toSorted(), SOFT_W1_SLAVES.toSorted());
  });

  test("reads temperatures, and finds slaves with an alarm", soft, async () => {
    // Not with setUpSoftW1(), where one miss is enough: an alarm search is a miss for each slave without an alarm, and
    // after the kernel has forgotten one in that way, removing the module of its master may hang for ever (6.1, 6.12).
    await insmod("wire", { timeout: 1, slave_ttl: 10 });
    await load("w1_therm");
    await insmod("w1_soft", { temp1: 21_500, temp2: 21_500 });
    await using w1 = await openW1();
    const found = (slave: string) => existsSync(`/sys/bus/w1/devices/${slave}/w1_slave`);
    await eventually("both thermometers", () => found(THERMOMETER_1) && found(THERMOMETER_2));
    assert.equal(await temperature(w1, THERMOMETER_1), 21.5);
    setSoftW1("temp2", -10_125);
    assert.equal(await temperature(w1, THERMOMETER_2), -10.125);
    assert.deepEqual(await w1.master(1).alarmSearch(), [THERMOMETER_2]);
    setSoftW1("temp2", 21_500);
    assert.equal(await temperature(w1, THERMOMETER_2), 21.5);
    assert.deepEqual(await w1.master(1).alarmSearch(), []);
  });

  test("writes, reads back the same bytes, and touches", soft, async () => {
    await setUpSoftW1();
    await using w1 = await openW1();
    const slave = w1.slave(THERMOMETER_1);
    await slave.write(Uint8Array.of(WRITE_SCRATCHPAD, 0x11, 0x22, 0x7f));
    assert.deepEqual([...(await slave.query(Uint8Array.of(READ_SCRATCHPAD), 9)).subarray(2, 5)], [
      0x11,
      0x22,
      0x7f,
    ]);
    const touched = await slave.touch(Uint8Array.of(READ_SCRATCHPAD, ...new Uint8Array(9).fill(0xff)));
    assert.equal(touched[0], READ_SCRATCHPAD);
    assert.deepEqual([...touched.subarray(3, 6)], [0x11, 0x22, 0x7f]);
  });

  test(
    "runs transactions of a master and two slaves in one message, with bundled replies",
    soft,
    async () => {
      await setUpSoftW1({ temp1: 1_000, temp2: 2_000 });
      await using connector = await openConnector();
      await using w1 = await openW1({ connector });
      const convertAll = w1.master(1).transaction().reset().write(Uint8Array.of(SKIP_ROM, CONVERT)).reset();
      const read = (slave: string) =>
        w1.slave(slave).transaction().write(Uint8Array.of(READ_SCRATCHPAD)).read(9);
      const before = connector.stats();
      const results = await w1.runAll([convertAll, read(THERMOMETER_1), read(THERMOMETER_2)]);
      const { received, messages, sent } = connector.stats();
      assert.deepEqual(results.map((all) => all.map(({ status }) => status)), [[0, 0, 0], [0, 0], [0, 0]]);
      assert.deepEqual(results.slice(1).map(([, { data } = { data: [] }]) => data[0]! / 16), [1, 2]);
      assert.equal(sent - before.sent, 1);
      assert.ok(
        received - before.received < messages - before.messages,
        "several messages came in one datagram",
      );
    },
  );

  test("reports a missing master or slave by the kernel's status", soft, async () => {
    await setUpSoftW1();
    await using w1 = await openW1();
    await assert.rejects(w1.master(99).search(), isW1Error(ERRNO.ENODEV!));
    await assert.rejects(w1.slave("28-090909090909").read(1), isW1Error(ERRNO.ENODEV!));
    await assert.rejects(w1.run(w1.master(1).transaction().add(77)), isW1Error(ERRNO.EINVAL!));
    await assert.rejects(w1.run(w1.slave(THERMOMETER_1).transaction().reset()), isW1Error(ERRNO.EINVAL!));
    assert.equal(await w1.master(1).reset(), true);
    setSoftW1("present", 0);
    assert.equal(await w1.master(1).reset(), false);
    const silent = w1.slave(THERMOMETER_1).query(Uint8Array.of(READ_SCRATCHPAD), 9);
    await assert.rejects(silent, isW1Error(ERRNO.ENODEV!));
  });

  test("adds and removes slaves", soft, async () => {
    await setUpSoftW1({ present: 4 });
    await using w1 = await openW1();
    const master = w1.master(1);
    await master.addSlave("29-000000000001");
    assert.ok((await master.slaves()).includes("29-000000000001"));
    await assert.rejects(master.addSlave("29-000000000001"), isW1Error(ERRNO.EINVAL!));
    await master.removeSlave("29-000000000001");
    assert.ok(!(await master.slaves()).includes("29-000000000001"));
    await assert.rejects(master.removeSlave("29-000000000001"), isW1Error(ERRNO.EINVAL!));
  });

  test("reports masters and slaves that are added and removed", soft, async () => {
    await load("wire");
    await unload("wire");
    await insmod("wire", { timeout: 1, slave_ttl: 1 });
    await load("w1_therm");
    await using w1 = await openW1();
    const events = w1.events();
    const seen: string[] = [];
    const until = async (wanted: W1StreamEvent): Promise<void> => {
      const text = JSON.stringify(wanted);
      const begin = performance.now();
      while (true) {
        const left = 20_000 - (performance.now() - begin);
        const next = await Promise.race([events.next(), sleep(Math.max(left, 0), undefined, { ref: false })]);
        assert.ok(next !== undefined && next.done !== true, `no ${text}, but ${seen.join(" ")}`);
        seen.push(JSON.stringify(next.value));
        if (seen.at(-1) === text) return;
      }
    };
    await insmod("w1_soft");
    await until({ type: "master_add", master: 1 });
    await until({ type: "slave_add", slave: THERMOMETER_2 });
    setSoftW1("present", 5);
    await until({ type: "slave_remove", slave: THERMOMETER_2 });
    await unload("w1_soft");
    await until({ type: "master_remove", master: 1 });
    await events.return?.();
  });

  test("a kernel without a master replies with an empty list", soft, async () => {
    await load("wire");
    await using w1 = await openW1();
    assert.deepEqual(await w1.masters(), []);
  });
});

test(
  "the stock DS2482 driver on a chip without slaves",
  { skip: skipWithout("ds2482", "i2c_stub") },
  async () => {
    const bus = await setUpDs2482();
    try {
      await using w1 = await openW1();
      assert.deepEqual(await w1.masters(), [1]);
      const master = w1.master(1);
      assert.equal(await master.reset(), true);
      // The table of registers gives the same bit for ever: a search finds the number 0, whose CRC is 0.
      assert.deepEqual(await master.search(), ["00-000000000000"]);
      const results = await w1.run(master.transaction().reset().write(Uint8Array.of(SKIP_ROM)).read(9));
      assert.deepEqual([...results.at(-1)!.data], new Array(9).fill(0x5a));
    } finally {
      await tearDownDs2482(bus);
    }
  },
);
