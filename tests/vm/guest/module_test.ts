// The ground that the other guest tests stand on: our own modules and the set-ups of stock drivers.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, describe, test } from "node:test";
import {
  connectorIds,
  dmsetup,
  eventually,
  insmod,
  load,
  loaded,
  setSoftW1,
  setUpDs2482,
  setUpMirror,
  setUpSoftW1,
  setUpUvesafb,
  skipWithout,
  SOFT_W1_SLAVES,
  tearDownDs2482,
  tearDownMirror,
  tearDownSoftW1,
  tearDownUvesafb,
  unload,
  vgaMemory,
} from "./support.ts";

const W1_DEVICES = "/sys/bus/w1/devices";
const [THERMOMETER_1, THERMOMETER_2, SERIAL_NUMBER] = SOFT_W1_SLAVES;

const counterpart = { skip: skipWithout("cn_counterpart") };
const softW1 = { skip: skipWithout("w1_soft", "wire", "w1_therm") };

describe("cn_counterpart", () => {
  afterEach(async () => await unload("cn_counterpart"));

  test("serves 20:1 to 20:14 while it is loaded", counterpart, async () => {
    const before = connectorIds();
    await insmod("cn_counterpart");
    const ids = [...connectorIds()].filter(([id]) => !before.has(id));
    const expected = Array.from({ length: 14 }, (_, index) => `20:${index + 1}`);
    assert.deepEqual(ids.map(([id]) => id).sort(), expected.sort());
    assert.equal(connectorIds().get("20:1"), "cnc_echo");
    await unload("cn_counterpart");
    assert.deepEqual(connectorIds(), before);
  });

  test("is refused a second time", counterpart, async () => {
    await insmod("cn_counterpart");
    await assert.rejects(insmod("cn_counterpart"), /File exists/);
  });
});

describe("w1_soft", () => {
  afterEach(async () => await tearDownSoftW1());

  test("the search of the driver core finds two thermometers and a serial number", softW1, async () => {
    await setUpSoftW1();
    assert.deepEqual(slaves(), [SERIAL_NUMBER, THERMOMETER_1, THERMOMETER_2]);
    assert.equal(connectorIds().get("3:1"), "w1");
  });

  test("temperatures match the parameters, also below zero", softW1, async () => {
    await setUpSoftW1({ temp1: -10_125 });
    assert.match(readSlave(THERMOMETER_1), /crc=\w+ YES\n.*t=-10125/);
    setSoftW1("temp1", 21_500);
    assert.match(readSlave(THERMOMETER_1), /t=21500/);
    assert.match(readSlave(THERMOMETER_2), /t=80500/);
  });

  test("a slave removed from the bus disappears, and returns", softW1, async () => {
    await setUpSoftW1();
    setSoftW1("present", 5);
    await eventually("the second thermometer to go", () => !slaves().includes(THERMOMETER_2));
    assert.deepEqual(slaves(), [SERIAL_NUMBER, THERMOMETER_1]);
    setSoftW1("present", 7);
    await eventually("the second thermometer to come back", () => slaves().includes(THERMOMETER_2));
  });
});

describe("set-ups of stock drivers", () => {
  test("ds2482 on i2c-stub is a 1-wire master", { skip: skipWithout("ds2482", "i2c_stub") }, async () => {
    const bus = await setUpDs2482();
    try {
      const name = readFileSync(`${W1_DEVICES}/w1_bus_master1/w1_master_name`, "utf8");
      assert.equal(name.trim(), "w1_bus_master1");
    } finally {
      await tearDownDs2482(bus);
    }
    assert.equal(loaded("wire"), false);
  });

  test(
    "a mirror's log can be kept in user space",
    { skip: skipWithout("brd", "dm_log_userspace") },
    async () => {
      const disks = await setUpMirror();
      try {
        assert.equal(disks.length, 2);
        assert.match(await dmsetup("targets"), /^mirror /m);
        assert.equal(connectorIds().get("7:1"), "dmlogusr");
        writeFileSync("/dev/ram1", "written");
        assert.equal(readFileSync("/dev/ram1").subarray(0, 7).toString(), "written");
      } finally {
        await tearDownMirror();
      }
      assert.equal(connectorIds().has("7:1"), false);
    },
  );

  test(
    "uvesafb sends a request on the bus, and loads without a reply",
    { skip: skipWithout("uvesafb") },
    async () => {
      assert.ok(vgaMemory() > 0n);
      await setUpUvesafb();
      try {
        assert.equal(connectorIds().get("4:1"), "uvesafb");
      } finally {
        await tearDownUvesafb();
      }
      assert.equal(connectorIds().has("4:1"), false);
    },
  );

  test("load also loads the dependencies of a module", { skip: skipWithout("w1_smem") }, async () => {
    await load("w1-smem");
    assert.equal(loaded("wire"), true);
    await unload("w1-smem", "wire");
    assert.equal(loaded("wire"), false);
  });
});

function slaves(): readonly string[] {
  if (!existsSync(W1_DEVICES)) return [];
  return readdirSync(W1_DEVICES).filter((name) => /^[0-9a-f]{2}-[0-9a-f]{12}$/.test(name)).sort();
}

function readSlave(name: string): string {
  return readFileSync(`${W1_DEVICES}/${name}/w1_slave`, "utf8");
}
