// serveDirtyLog() with the kernel's own mirrors: their whole life, and a server that dies in the middle of it.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { coreLogs } from "../../../lib/protocols/dm_log/core.ts";
import { type DirtyLogServer, serveDirtyLog } from "../../../lib/protocols/dm_log/serve.ts";
import { create, MirrorShape, PIECE, readPiece, remove, scribble, Server, status, write } from "./mirror.ts";
import { dmsetup, eventually, setUpMirror, skipWithout, tearDownMirror } from "./support.ts";

const skip = skipWithout("brd", "dm_log_userspace", "dm_mirror");
const KIBIBYTES = 16_384;
const SHAPE = new MirrorShape(KIBIBYTES);
const { sectors: SECTORS, regions: REGIONS } = SHAPE;

function assertPiece(device: string, piece: number, expected: Uint8Array): void {
  assert.ok(
    Buffer.from(expected).equals(readPiece(device, piece)),
    `piece ${piece} of ${device} is as written`,
  );
}

describe("serveDirtyLog()", { skip }, () => {
  before(async () => void await setUpMirror(2, KIBIBYTES));
  after(async () => await tearDownMirror());

  test("a mirror comes up, resyncs, is written, suspended, resumed and removed", async () => {
    scribble("/dev/ram0", 5, randomBytes(PIECE));
    const errors: unknown[] = [];
    await using server: DirtyLogServer = await serveDirtyLog(coreLogs(), {
      onError: (error) => errors.push(error),
    });
    const begin = performance.now();
    await create("life", SHAPE.table("core", "LIFE"));
    try {
      await SHAPE.untilSynced("life");
      const synced = performance.now();
      assert.deepEqual(await status("life"), { synced: REGIONS, health: "AA", log: "1 core" });
      assert.match(await dmsetup("table", "life"), /userspace 3 LIFE core 1024/);
      const written = randomBytes(PIECE);
      for (let piece = 0; piece < 40; piece++) await write("life", piece, written);
      await dmsetup("suspend", "--noudevsync", "life");
      await dmsetup("resume", "--noudevsync", "life");
      await write("life", 41, written);
      const { answered } = server.stats();
      const total = Object.values(answered).reduce((sum, count) => sum + count, 0);
      console.log(
        `mirror in sync after ${Math.round(synced - begin)} ms, ${total} requests in ` +
          `${Math.round(performance.now() - begin)} ms: ${JSON.stringify(answered)}`,
      );
      assertPiece("/dev/ram1", 41, written);
    } finally {
      await remove("life");
    }
    assert.deepEqual(SHAPE.legsDiffer(), []);
    assert.deepEqual(errors, []);
    const { failed, malformed, logs, answered } = server.stats();
    assert.deepEqual([failed, malformed, logs, answered["dtr"]], [0, 0, 0, 1]);
  });

  test("marks arrive with the flush if the table requests that", async () => {
    await using server = await serveDirtyLog(coreLogs());
    await create("integrated", SHAPE.table("core", "INTEGRATED", "nosync", "integrated"));
    try {
      assert.equal((await status("integrated")).synced, REGIONS);
      await write("integrated", 3, randomBytes(PIECE));
      const { answered, failed } = server.stats();
      assert.equal(answered["mark_region"] ?? 0, 0);
      assert.ok(answered["flush"]! > 0);
      assert.equal(failed, 0);
    } finally {
      await remove("integrated");
    }
  });

  test("an invalid table line is refused at once", async () => {
    const errors: unknown[] = [];
    await using server = await serveDirtyLog(coreLogs(), { onError: (error) => errors.push(error) });
    const begin = performance.now();
    await assert.rejects(create("bad", SHAPE.table("disk", "BAD")));
    assert.ok(performance.now() - begin < 10_000);
    assert.equal(errors.length, 1);
    assert.equal(server.stats().failed, 1);
  });

  test("without a server a mirror is refused at once", async () => {
    await assert.rejects(create("nobody", SHAPE.table("core", "NOBODY")));
  });

  test("a server that is killed in the middle is replaced, and nothing written is lost", async () => {
    const folder = mkdtempSync(join(process.env["TMPDIR"] ?? "/run", "dirty-"));
    let server = await Server.start(folder);
    await create("crash", SHAPE.table("disk", "CRASH"));
    try {
      await SHAPE.untilSynced("crash");
      const first = await server.stats();
      assert.equal(first.failed, 0);
      // Written while it lives, while it is dead, and when there is another.
      const pieces = Array.from({ length: 3 }, () => randomBytes(PIECE));
      await write("crash", 10, pieces[0]!);
      await server.kill();
      const stuck = write("crash", 11, pieces[1]!);
      assert.equal(await Promise.race([stuck.then(() => "done"), sleep(1_500, "stuck")]), "stuck");
      const begin = performance.now();
      server = await Server.start(folder);
      await stuck;
      console.log(
        `the write went on ${Math.round(performance.now() - begin)} ms after the new server began to start`,
      );
      await write("crash", 12, pieces[2]!);
      assert.deepEqual(await status("crash"), { synced: REGIONS, health: "AA", log: "1 disk" });
      for (const [i, piece] of [10, 11, 12].entries()) {
        assertPiece("/dev/ram1", piece, pieces[i]!);
      }
      const second = await server.stats();
      assert.equal(second.answered["ctr"], 1);
      assert.equal(
        second.answered["get_resync_work"] ?? 0,
        0,
        "nothing is recovered when only the server came back",
      );
      // A request that the old server left unanswered is one for a log unknown to the new one.
      const complaints = server.lines.filter((line) => /^(error|damage)/.test(line));
      assert.deepEqual(complaints.filter((line) => !line.includes("there is no log")), []);
      // Now there is no request while there is no server: the new one must report that it does not know the log.
      await server.kill();
      server = await Server.start(folder);
      const last = randomBytes(PIECE);
      await write("crash", 13, last);
      const third = await server.stats();
      assert.ok(third.failed > 0 && third.answered["ctr"] === 1, JSON.stringify(third));
      assertPiece("/dev/ram1", 13, last);
      assert.ok(server.lines.some((line) => line.includes("there is no log")));
    } finally {
      await remove("crash");
    }
    assert.deepEqual(SHAPE.legsDiffer(), []);
    await server.kill();

    // Only what was being written is recovered at the next start: nothing, since the mirror was removed cleanly.
    const next = await Server.start(folder);
    const marker = randomBytes(PIECE);
    await create("crash", SHAPE.table("disk", "CRASH"));
    try {
      assert.equal((await status("crash")).synced, REGIONS);
      await write("crash", 200, marker);
      assert.equal((await next.stats()).answered["set_region_sync"] ?? 0, 0);
    } finally {
      await remove("crash");
      await next.kill();
      rmSync(folder, { recursive: true });
    }
  });

  test("a mirror with a failed leg continues with the other", async () => {
    // The second leg is a device whose second half fails.
    await dmsetup(
      "create",
      "leg",
      "--noudevsync",
      "--verifyudev",
      "--table",
      `0 ${SECTORS} linear /dev/ram1 0`,
    );
    await dmsetup("mknodes");
    await using server = await serveDirtyLog(coreLogs());
    const line = SHAPE.table("core", "LEG", "nosync").replace("/dev/ram1", "/dev/mapper/leg");
    // With "handle_errors" the mirror handles it: it informs the log, and dmeventd would replace the leg.
    await create("fails", `${line} 1 handle_errors`);
    try {
      assert.equal((await status("fails")).health, "AA");
      await dmsetup("suspend", "--noudevsync", "--noflush", "leg");
      await dmsetup("load", "leg", "--table", `0 ${SECTORS} error`);
      await dmsetup("resume", "--noudevsync", "leg");
      const written = randomBytes(PIECE);
      const writing = write("fails", 7, written);
      await eventually(
        "the log to get the failed region",
        () => (server.stats().answered["set_region_sync"] ?? 0) > 0,
      );
      // The mirror holds the write until its table is replaced, as a monitor would do: here it goes on with one leg.
      const one = `0 ${SECTORS} linear /dev/ram0 0`;
      await dmsetup("load", "fails", "--table", one);
      await dmsetup("suspend", "--noudevsync", "--noflush", "fails");
      await dmsetup("resume", "--noudevsync", "fails");
      await writing;
      assertPiece("/dev/ram0", 7, written);
      assert.equal(server.stats().failed, 0);
    } finally {
      await remove("fails");
      await remove("leg");
    }
  });
});
