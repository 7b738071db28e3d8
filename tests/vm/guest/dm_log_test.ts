// serveDirtyLog() with the kernel's own mirrors: their whole life, and a server that dies in the middle of it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { coreLogs } from "../../../lib/protocols/dm_log/core.ts";
import { type DirtyLogServer, serveDirtyLog } from "../../../lib/protocols/dm_log/serve.ts";
import { dmsetup, eventually, setUpMirror, skipWithout, tearDownMirror } from "./support.ts";

const skip = skipWithout("brd", "dm_log_userspace", "dm_mirror");
const KIBIBYTES = 16_384;
const SECTORS = KIBIBYTES * 2;
const REGION = 1024;
const REGIONS = SECTORS / REGION;
const PIECE = 64 * 1024;

/** Runs while mirrors may be stuck: no synchronous call on a mirror may be made by the process that serves its log. */
class Server {
  readonly #child: ChildProcess;
  readonly lines: string[] = [];

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout! }).on("line", (line) => this.lines.push(line));
  }

  static async start(folder: string): Promise<Server> {
    const program = fileURLToPath(new URL("./dirty_log_server.ts", import.meta.url));
    const deno = process.versions["deno"] !== undefined;
    const args = deno ? ["run", "-A", "--no-check", program, folder] : [program, folder];
    const server = new Server(spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] }));
    await server.line((line) => line === "ready");
    return server;
  }

  async line(wanted: (line: string) => boolean): Promise<string> {
    await eventually("a line of the server", () => this.lines.some(wanted), 60_000);
    return this.lines.find(wanted)!;
  }

  async stats(): Promise<
    { answered: Record<string, number>; failed: number; malformed: number; logs: number }
  > {
    const before = this.lines.length;
    this.#child.stdin!.write("?\n");
    await eventually(
      "the server's counts",
      () => this.lines.slice(before).some((line) => line.startsWith("{")),
    );
    return JSON.parse(this.lines.slice(before).find((line) => line.startsWith("{"))!);
  }

  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }
}

function table(kind: "core" | "disk", uuid: string, ...more: string[]): string {
  const args = [kind, String(REGION), ...more];
  const flush = more.includes("integrated") ? ["integrated_flush"] : [];
  const log = [uuid, ...flush, ...args.filter((arg) => arg !== "integrated")];
  return `0 ${SECTORS} mirror userspace ${log.length} ${log.join(" ")} 2 /dev/ram0 0 /dev/ram1 0`;
}

async function create(name: string, line: string): Promise<void> {
  await dmsetup("create", name, "--noudevsync", "--verifyudev", "--table", line);
  await dmsetup("mknodes");
}

async function remove(name: string): Promise<void> {
  await dmsetup("remove", "--noudevsync", name);
}

/** "32/32" regions in sync, and the log's words. */
async function status(
  name: string,
): Promise<{ readonly synced: number; readonly health: string; readonly log: string }> {
  const text = await dmsetup("status", name);
  const match = / (\d+)\/\d+ 1 (\S+) (.*)$/.exec(text.trim());
  assert.ok(match, text);
  return { synced: Number(match[1]), health: match[2]!, log: match[3]! };
}

async function untilSynced(name: string): Promise<void> {
  for (let i = 0; (await status(name)).synced < REGIONS; i++) {
    assert.ok(i < 600, `still ${JSON.stringify(await status(name))}`);
    await sleep(100);
  }
}

/** A program that writes a piece, so that this process never waits for a mirror itself. */
async function write(name: string, piece: number, bytes: Uint8Array, timeoutMs = 60_000): Promise<void> {
  const dd = spawn("dd", [
    `of=/dev/mapper/${name}`,
    "bs=64k",
    `seek=${piece}`,
    "oflag=direct",
    "conv=notrunc",
  ], {
    stdio: ["pipe", "ignore", "pipe"],
  });
  let complaint = "";
  dd.stderr.on("data", (text) => complaint += text);
  dd.stdin.on("error", () => {});
  dd.stdin.end(bytes);
  const rc = await Promise.race([
    new Promise((resolve) => dd.once("exit", resolve)),
    sleep(timeoutMs, "timeout", { ref: false }),
  ]);
  if (rc === "timeout") dd.kill("SIGKILL");
  assert.equal(rc, 0, `dd: ${complaint}`);
}

/** What is on the device now: the mirror writes past the pages that were read, or read ahead, before. */
function readPiece(device: string, piece: number): Uint8Array {
  writeFileSync("/proc/sys/vm/drop_caches", "1");
  return readCached(device, piece);
}

function readCached(device: string, piece: number): Uint8Array {
  const fd = openSync(device, "r");
  const bytes = new Uint8Array(PIECE);
  readSync(fd, bytes, 0, PIECE, piece * PIECE);
  closeSync(fd);
  return bytes;
}

/** Without a picture of the difference, for which a guest has no memory. */
function assertPiece(device: string, piece: number, expected: Uint8Array): void {
  assert.ok(
    Buffer.from(expected).equals(readPiece(device, piece)),
    `piece ${piece} of ${device} is as written`,
  );
}

function scribble(device: string, piece: number, bytes: Uint8Array): void {
  const fd = openSync(device, "r+");
  writeSync(fd, bytes, 0, bytes.length, piece * PIECE);
  fsyncSync(fd);
  closeSync(fd);
}

function legsDiffer(): number[] {
  writeFileSync("/proc/sys/vm/drop_caches", "1");
  const pieces = KIBIBYTES * 1024 / PIECE;
  const differ: number[] = [];
  for (let piece = 0; piece < pieces; piece++) {
    const [a, b] = ["/dev/ram0", "/dev/ram1"].map((leg) => Buffer.from(readCached(leg, piece)));
    if (!a!.equals(b!)) differ.push(piece);
  }
  return differ;
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
    await create("life", table("core", "LIFE"));
    try {
      await untilSynced("life");
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
    assert.deepEqual(legsDiffer(), []);
    assert.deepEqual(errors, []);
    const { failed, malformed, logs, answered } = server.stats();
    assert.deepEqual([failed, malformed, logs, answered["dtr"]], [0, 0, 0, 1]);
  });

  test("marks come with the flush where the table asks for it", async () => {
    await using server = await serveDirtyLog(coreLogs());
    await create("integrated", table("core", "INTEGRATED", "nosync", "integrated"));
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

  test("a table line that makes no sense is refused at once", async () => {
    const errors: unknown[] = [];
    await using server = await serveDirtyLog(coreLogs(), { onError: (error) => errors.push(error) });
    const begin = performance.now();
    await assert.rejects(create("bad", table("disk", "BAD")));
    assert.ok(performance.now() - begin < 10_000);
    assert.equal(errors.length, 1);
    assert.equal(server.stats().failed, 1);
  });

  test("without a server a mirror is refused at once", async () => {
    await assert.rejects(create("nobody", table("core", "NOBODY")));
  });

  test("a server that is killed in the middle is replaced, and nothing written is lost", async () => {
    const folder = mkdtempSync(join(process.env["TMPDIR"] ?? "/run", "dirty-"));
    let server = await Server.start(folder);
    await create("crash", table("disk", "CRASH"));
    try {
      await untilSynced("crash");
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
      // A request that the old server was asked and did not answer is one about a log that the new one does not know.
      const complaints = server.lines.filter((line) => /^(error|damage)/.test(line));
      assert.deepEqual(complaints.filter((line) => !line.includes("there is no log")), []);
      // Now nobody asks anything while there is no server: the new one must say that it knows nothing of the log.
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
    assert.deepEqual(legsDiffer(), []);
    await server.kill();

    // Only what was being written is recovered at the next start: nothing, as the mirror was removed in peace.
    const next = await Server.start(folder);
    const marker = randomBytes(PIECE);
    await create("crash", table("disk", "CRASH"));
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

  test("a mirror whose leg fails goes on with the other", async () => {
    // A device of which the second half gives errors is the second leg.
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
    const line = table("core", "LEG", "nosync").replace("/dev/ram1", "/dev/mapper/leg");
    // Handled by the mirror itself, as "handle_errors" asks: it tells the log, and dmeventd would replace the leg.
    await create("fails", `${line} 1 handle_errors`);
    try {
      assert.equal((await status("fails")).health, "AA");
      await dmsetup("suspend", "--noudevsync", "--noflush", "leg");
      await dmsetup("load", "leg", "--table", `0 ${SECTORS} error`);
      await dmsetup("resume", "--noudevsync", "leg");
      const written = randomBytes(PIECE);
      const writing = write("fails", 7, written);
      await eventually("the log to be told", () => (server.stats().answered["set_region_sync"] ?? 0) > 0);
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
