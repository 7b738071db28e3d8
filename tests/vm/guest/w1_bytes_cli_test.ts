// cnctl w1 as a program of its own: bytes to and from slaves of a bus in software, and what is refused. A file of its own,
// since in emulation each run of the command takes seconds.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { out, say } from "./command.ts";
import { setSoftW1, setUpSoftW1, skipWithout, SOFT_W1_SLAVES, tearDownSoftW1 } from "./support.ts";

const soft = { skip: skipWithout("w1_soft", "wire", "w1_therm") };
const [THERMOMETER_1] = SOFT_W1_SLAVES;

describe("cnctl w1 with bytes", soft, () => {
  before(async () => await setUpSoftW1());
  after(async () => await tearDownSoftW1());

  test("reads a temperature, writes and touches, with a master and with a slave", async () => {
    setSoftW1("temp1", 21_500);
    assert.equal(await out("w1", "write", THERMOMETER_1, "44"), "");
    const scratchpad = await out("w1", "read", THERMOMETER_1.toUpperCase(), "9", "--write", "be");
    assert.match(scratchpad, /^58 01( [\da-f]{2}){7}\n$/); // 0x158 / 16 is 21.5
    assert.equal(await out("w1", "touch", THERMOMETER_1, "be:ff:ff"), "be 58 01\n");
    // Everybody measures at once, by way of the master.
    setSoftW1("temp1", 1_000);
    assert.deepEqual(JSON.parse(await out("w1", "write", "1", "cc 44", "--reset", "--json")), {
      master: 1,
      slave: null,
      written: 2,
    });
    const address = `55 28 01 be ad de 00 00 1d be`; // MATCH ROM, the slave's number with its CRC, READ SCRATCHPAD
    assert.match(await out("w1", "read", "1", "2", "--reset", "--write", address), /^10 00\n$/);
  });

  test("describes what the kernel refuses", async () => {
    const noMaster = await say("w1", "search", "99");
    assert.deepEqual([noMaster.status, noMaster.out], [1, ""]);
    assert.match(noMaster.error, /^cnctl: Cannot ask master 99: there is no such bus master \(ENODEV\)\n$/);
    const noSlave = await say("w1", "read", "28-090909090909", "1");
    assert.equal(noSlave.status, 1);
    assert.match(noSlave.error, /28-090909090909: the kernel does not know it, or it is gone \(ENODEV\)\n$/);
    assert.equal(await out("w1", "reset", "1"), "present\n");
    setSoftW1("present", 0);
    assert.deepEqual(await say("w1", "reset", "1"), { status: 1, out: "nobody present\n", error: "" });
    const nobody = await say("w1", "write", "1", "cc44", "--reset");
    assert.equal(nobody.status, 1);
    assert.match(nobody.error, /Cannot reset at master 1: no slave answered the reset \(nobody present\)\n$/);
  });
});
