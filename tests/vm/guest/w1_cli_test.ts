// cnctl w1 as a program of its own, against the kernel's driver with a bus in software.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { LIMIT_MS, out, Run, say } from "./command.ts";
import {
  eventually,
  load,
  setSoftW1,
  setUpSoftW1,
  skipWithout,
  SOFT_W1_SLAVES,
  tearDownSoftW1,
  unload,
} from "./support.ts";

const soft = { skip: skipWithout("w1_soft", "wire", "w1_therm") };
const [, THERMOMETER_2] = SOFT_W1_SLAVES;

describe("cnctl w1", soft, () => {
  before(async () => await unload("w1_soft", "w1_therm", "wire"));
  after(async () => await tearDownSoftW1());

  test("says what to do if the kernel has no 1-wire", async () => {
    for (const args of [["masters"], ["watch"]]) {
      const { status, out, error } = await say("w1", ...args);
      assert.deepEqual([status, out], [1, ""]);
      assert.match(
        error,
        /^cnctl: Cannot use 1-wire buses: the kernel does not serve 3:1: load the module wire /,
      );
    }
  });

  test("finds masters and slaves, and shows those that are added and removed", async () => {
    await load("wire");
    assert.equal(await out("w1", "masters"), "");
    await unload("wire");
    await setUpSoftW1();
    assert.equal(await out("w1", "masters", "--json"), '{"masters":[1]}\n');
    const found = (await out("w1", "search", "1")).trim().split("\n");
    assert.deepEqual(found.toSorted(), SOFT_W1_SLAVES.toSorted());
    const known = (await out("w1", "slaves")).trim().split("\n");
    assert.deepEqual(known.toSorted(), SOFT_W1_SLAVES.map((slave) => `${slave} 1`).toSorted());
    const watch = new Run("w1", "watch", "--json", "--count", "1");
    await eventually("the watch", () => watch.error.includes("watching, bus master 1\n"), LIMIT_MS);
    setSoftW1("present", 5);
    assert.equal(await watch.ended, 0);
    const [event] = watch.objects();
    assert.deepEqual([event!["type"], event!["slave"]], ["slave_remove", THERMOMETER_2]);
    setSoftW1("present", 7);
    const stopped = new Run("w1", "watch");
    await eventually("the watch", () => stopped.error.includes("watching"), LIMIT_MS);
    assert.equal(await stopped.end("SIGTERM"), 0);
  });

  test("adds and removes a slave", async () => {
    // Else the kernel's own search, once a second here, forgets the stranger as soon as it was added.
    writeFileSync("/sys/bus/w1/devices/w1_bus_master1/w1_master_search", "0\n");
    const stranger = "29-000000000001";
    assert.deepEqual(JSON.parse(await out("w1", "add", "1", stranger, "--json")), {
      master: 1,
      added: stranger,
    });
    const again = await say("w1", "add", "1", stranger);
    assert.equal(again.status, 1);
    assert.match(
      again.error,
      /^cnctl: Cannot add 29-000000000001 to master 1: the kernel already knows this slave \(EINVAL\)\n$/,
    );
    assert.equal(await out("w1", "remove", "1", stranger), "");
    assert.ok(!(await out("w1", "slaves", "1")).includes(stranger));
  });
});
