// What a disk log is for: a mirror that is made anew recovers what may differ between its legs, and nothing else.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { openDiskLogs } from "../../../lib/protocols/dm_log/disk.ts";
import { create, MirrorShape, PIECE, remove, scribble, Server, status, write } from "./mirror.ts";
import { dmsetup, eventually, setUpMirror, skipWithout, tearDownMirror } from "./support.ts";

const KIBIBYTES = 2048;
const SHAPE = new MirrorShape(KIBIBYTES);
const { regions: REGIONS } = SHAPE;
/** How often a mirror is made anew: whether an answer comes too late for the kernel is a matter of luck. */
const STARTS = 11;
const CRASHES = 3;

describe("a disk log", { skip: skipWithout("brd", "dm_log_userspace", "dm_mirror") }, () => {
  let folder: string;
  let server: Server;

  before(async () => {
    await setUpMirror(2, KIBIBYTES);
    folder = mkdtempSync(join(process.env["TMPDIR"] ?? "/run", "dirty-"));
    server = await Server.start(folder);
  });
  after(async () => {
    await server.kill();
    await tearDownMirror();
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    server.lines.length = 0;
  });

  test("recovers everything at each start if the table says sync", async () => {
    const starts: number[] = [];
    for (let start = 0; start < STARTS; start++) {
      await create("anew", SHAPE.table("disk", "ANEW", "sync"));
      starts.push(await SHAPE.recovery("anew"));
      await remove("anew");
    }
    console.log(`in sync after each start, of ${REGIONS}: ${starts.join(" ")}`);
    assert.deepEqual(starts, Array(STARTS).fill(REGIONS));
    assert.deepEqual(SHAPE.legsDiffer(), []);
  });

  test("recovers what was being written when the machine crashed", async () => {
    const starts: number[] = [];
    for (let start = 0; start < CRASHES; start++) {
      await create("crashed", SHAPE.table("disk", "CRASHED", ...start === 0 ? ["nosync"] : []));
      starts.push(await SHAPE.recovery("crashed"));
      await remove("crashed");
      // As a crash leaves them: a region that is marked, and written on one leg only.
      const region = start % REGIONS;
      await markAsWritten("CRASHED", BigInt(region));
      scribble("/dev/ram1", region * 8, randomBytes(PIECE));
    }
    console.log(`in sync after each start, of ${REGIONS}: ${starts.join(" ")}`);
    await create("crashed", SHAPE.table("disk", "CRASHED"));
    await SHAPE.untilSynced("crashed");
    await remove("crashed");
    assert.deepEqual(starts, Array(CRASHES).fill(REGIONS));
    assert.deepEqual(SHAPE.legsDiffer(), []);
  });

  async function markAsWritten(uuid: string, region: bigint): Promise<void> {
    const logs = await openDiskLogs({ folder });
    const args = [String(SHAPE.sectors), "disk", "1024"];
    const { log } = await logs.create({ type: "ctr", luid: 1n, uuid, version: 3, seq: 0, args, again: true });
    await log.resume(true);
    await log.markRegions([region]);
    await log.flush();
    await log.destroy();
  }

  test("survives a reload of the table", async () => {
    await create("swap", SHAPE.table("disk", "SWAP", "nosync"));
    for (let i = 0; i < 3; i++) {
      const writing = write("swap", i, randomBytes(PIECE));
      await dmsetup("load", "swap", "--table", SHAPE.table("disk", "SWAP"));
      await dmsetup("load", "swap", "--table", SHAPE.table("disk", "SWAP")); // three tables for a moment
      await writing;
      await dmsetup("resume", "--noudevsync", "swap");
      await SHAPE.untilSynced("swap");
    }
    await remove("swap");
    assert.deepEqual(server.lines.filter((line) => /^(error|damage)/.test(line)), []);
  });

  test("is refused to a second mirror with the same uuid, and unchanged for the first", async () => {
    await create("one", SHAPE.table("disk", "TWICE", "nosync"));
    await create("two", SHAPE.table("disk", "TWICE", "nosync"));
    try {
      await eventually(
        "the refusal",
        () =>
          server.lines.some((line) => /^error resume .*another mirror with this uuid is running/.test(line)),
      );
      assert.equal((await status("two")).synced, 0);
      assert.equal((await status("one")).synced, REGIONS);
      server.lines.length = 0;
      await write("one", 3, randomBytes(PIECE));
      assert.deepEqual(server.lines, []);
    } finally {
      await remove("two");
      await remove("one");
    }
    assert.deepEqual(SHAPE.legsDiffer(), []);
  });
});
