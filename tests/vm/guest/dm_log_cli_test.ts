// cnctl dm-log as a program of its own, with the kernel's own mirrors. Nothing here may wait for a mirror by a synchronous
// call: its server is a child whose lines must be read.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { LIMIT_MS, Run, say } from "./command.ts";
import { dmsetup, eventually, setUpMirror, skipWithout, tearDownMirror } from "./support.ts";

const mirror = { skip: skipWithout("brd", "dm_log_userspace", "dm_mirror") };
const SECTORS = 16_384;
const REGION = 1024;
const REGIONS = SECTORS / REGION;

function table(kind: string, uuid: string, ...more: readonly string[]): string {
  const words = [uuid, kind, String(REGION), ...more];
  return `0 ${SECTORS} mirror userspace ${words.length} ${words.join(" ")} 2 /dev/ram0 0 /dev/ram1 0`;
}

async function create(name: string, line: string): Promise<void> {
  await dmsetup("create", name, "--noudevsync", "--verifyudev", "--table", line);
  await dmsetup("mknodes");
}

async function write(name: string): Promise<number | null> {
  const dd = spawn("dd", [
    "if=/dev/zero",
    `of=/dev/mapper/${name}`,
    "bs=64k",
    "count=1",
    "seek=3",
    "oflag=direct",
    "conv=notrunc",
  ], {
    stdio: "ignore",
  });
  return await new Promise((resolve) => dd.once("exit", resolve));
}

describe("cnctl dm-log", mirror, () => {
  let folder: string;
  let early: Run;
  before(async () => {
    early = new Run("dm-log", "--core", "--json");
    await early.object("serving"); // and there is no dm-log-userspace yet
    folder = mkdtempSync(join(process.env["TMPDIR"] ?? "/run", "dirty-"));
    await setUpMirror(2, SECTORS / 2);
  });
  after(async () => {
    await tearDownMirror();
    rmSync(folder, { recursive: true });
  });

  test("may start before the kernel's module, and says so", async () => {
    const { loaded } = await early.object("serving");
    assert.equal(loaded, false);
    await create("early", table("core", "EARLY"));
    await early.object("in_sync", ({ uuid }) => uuid === "EARLY");
    await dmsetup("remove", "--noudevsync", "early");
    assert.equal(await early.end("SIGTERM"), 0);
  });

  test("serves the whole life of a mirror, and logs it", async () => {
    const server = new Run("dm-log", "--core", "--disk", folder, "--json", "--verbose");
    const { core, disk, loaded } = await server.object("serving");
    assert.deepEqual([core, disk, loaded], [true, folder, true]);
    await create("life", table("disk", "LIFE"));
    const { time: _, ...created } = await server.object("created");
    assert.deepEqual(created, {
      type: "created",
      uuid: "LIFE",
      log: "disk",
      regions: REGIONS,
      regionSize: REGION,
      again: false,
    });
    await server.object("in_sync", ({ uuid, regions }) => uuid === "LIFE" && regions === REGIONS);
    assert.equal(await write("life"), 0);
    await server.object("request", ({ request }) => request === "mark_region");
    await server.object("request", ({ request }) => request === "flush");
    await dmsetup("suspend", "--noudevsync", "life");
    await server.object("suspended");
    await dmsetup("resume", "--noudevsync", "life");
    await server.object("resumed", ({ inSync }) => inSync === REGIONS);
    await dmsetup("remove", "--noudevsync", "life");
    await server.object("removed", ({ uuid }) => uuid === "LIFE");
    assert.equal(await server.end("SIGTERM"), 0);
    const last = server.objects().at(-1)!;
    assert.deepEqual([last["type"], last["left"], last["failed"], last["malformed"]], ["ended", 0, 0, 0]);
    assert.equal((last["answered"] as Record<string, number>)["ctr"], 1);
    assert.equal(server.error, "");
  });

  test("a server takes over from one that ended, and from one that was killed", async () => {
    const first = new Run("dm-log", "--disk", folder);
    await eventually(
      "it to serve",
      () => first.out.includes(`serving disk logs in ${folder}, as port`),
      LIMIT_MS,
    );
    await create("over", table("disk", "OVER", "nosync"));
    await eventually("the log", () => first.out.includes("created OVER: disk, 16 regions of 1024 sectors"));
    assert.equal(await first.end("SIGINT"), 0);
    assert.match(
      first.error,
      /ended: \d+ requests? answered.*; the mirror of one log waits until a server is back/,
    );
    assert.doesNotMatch(first.out, /removed/);

    const stuck = write("over");
    assert.equal(await Promise.race([stuck, sleep(1_500, "stuck")]), "stuck");
    const second = new Run("dm-log", "--disk", folder, "--json");
    await second.object("created", ({ uuid, again }) => uuid === "OVER" && again === true);
    assert.equal(await stuck, 0);
    const beside = await say("dm-log", "--core");
    assert.equal(beside.status, 1);
    assert.match(beside.error, new RegExp(`group 7 already has a listener, .*process ${second.child.pid} `));
    await second.end("SIGKILL");

    const third = new Run("dm-log", "--disk", folder, "--json");
    await third.object("serving");
    assert.equal(await write("over"), 0);
    await third.object("created", ({ again }) => again === true);
    await dmsetup("remove", "--noudevsync", "over");
    await third.object("removed");
    assert.equal(third.objects().filter(({ type }) => type === "error").length, 0, third.out);
    assert.equal(await third.end("SIGTERM"), 0);
  });

  test("reports a damaged file, recovers damaged regions, and refuses invalid table lines", async () => {
    const path = join(folder, "HURT.dirtylog");
    const server = new Run("dm-log", "--disk", folder);
    await eventually("it to serve", () => server.out.includes("serving"), LIMIT_MS);
    await create("hurt", table("disk", "HURT", "nosync"));
    await dmsetup("remove", "--noudevsync", "hurt");
    const good = readFileSync(path);
    const header = Uint8Array.from(good);
    header[30]! ^= 1;
    writeFileSync(path, header);
    await assert.rejects(create("hurt", table("disk", "HURT", "nosync")));
    await eventually(
      "the refusal",
      () => /REFUSED ctr HURT: .*checksum of its header is wrong/.test(server.error),
    );
    assert.deepEqual(readFileSync(path), Buffer.from(header), "the file is left alone");

    const page = Uint8Array.from(good);
    page[600]! ^= 1;
    writeFileSync(path, page);
    await create("hurt", table("disk", "HURT", "nosync"));
    await eventually(
      "the damage",
      () => /DAMAGED .*HURT\.dirtylog: 16 regions from 0 on lost/.test(server.error),
    );
    await eventually("the recovery", () => server.out.includes("in sync HURT: all 16 regions"), LIMIT_MS);
    await dmsetup("remove", "--noudevsync", "hurt");

    await assert.rejects(create("hurt", table("core", "HURT"))); // it serves files only
    await eventually("the refusal", () => /REFUSED ctr HURT: .*"core" is none of disk/.test(server.error));
    assert.equal(await server.end("SIGTERM"), 0);
    assert.match(server.out, /ended: \d+ requests answered, 2 with an error, 0 malformed\n$/);
  });

  test("continues to serve after its reader has exited", async () => {
    const server = new Run("dm-log", "--core", "--verbose");
    await eventually("it to serve", () => server.out.includes("serving"), LIMIT_MS);
    server.child.stdout.destroy();
    await create("alone", table("core", "ALONE", "nosync"));
    assert.equal(await write("alone"), 0);
    await dmsetup("remove", "--noudevsync", "alone");
    assert.equal(await server.end("SIGTERM"), 0);
    assert.equal(server.error, "");
  });
});
