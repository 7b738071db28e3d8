// A device-mapper mirror on two ram disks, its log's server as a program of its own, and how to look at its legs.
//
// A mirror may be stuck while nobody serves its log: the process that serves it must make no synchronous call on it.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fsyncSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { dmsetup, eventually } from "./support.ts";

/** Bytes that are written at once. */
export const PIECE = 64 * 1024;
/** Sectors in a region. */
const REGION = 1024;

const RAM_DISKS = ["/dev/ram0", "/dev/ram1"] as const;

/** A server of dirty logs, to be killed. */
export class Server {
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

/** How large a mirror is. */
export class MirrorShape {
  readonly kibibytes: number;
  readonly sectors: number;
  readonly regions: number;
  readonly legs: readonly [string, string];

  constructor(kibibytes: number, legs: readonly [string, string] = RAM_DISKS) {
    this.kibibytes = kibibytes;
    this.legs = legs;
    this.sectors = kibibytes * 2;
    this.regions = this.sectors / REGION;
  }

  /** The table line; "integrated" asks for marks with the flush, "sync" and "nosync" are the log's own words. */
  table(kind: "core" | "disk", uuid: string, ...more: readonly string[]): string {
    const args = [kind, String(REGION), ...more.filter((word) => word !== "integrated")];
    const flush = more.includes("integrated") ? ["integrated_flush"] : [];
    const log = [uuid, ...flush, ...args];
    return `0 ${this.sectors} mirror userspace ${log.length} ${log.join(" ")} 2 ${this.legs[0]} 0 ${
      this.legs[1]
    } 0`;
  }

  async untilSynced(name: string): Promise<void> {
    assert.equal(await this.recovery(name), this.regions);
  }

  /** How many regions are in sync when no more are being recovered: all, or as many as do not change for a minute. */
  async recovery(name: string): Promise<number> {
    let last = -1;
    let since = performance.now();
    for (;;) {
      const { synced } = await status(name);
      if (synced === this.regions || performance.now() - since > 60_000) return synced;
      if (synced !== last) since = performance.now();
      last = synced;
      await sleep(50);
    }
  }

  /** The pieces that are not the same on both legs. */
  legsDiffer(): number[] {
    writeFileSync("/proc/sys/vm/drop_caches", "1");
    const differ: number[] = [];
    for (let piece = 0; piece < this.kibibytes * 1024 / PIECE; piece++) {
      const [a, b] = this.legs.map((leg) => Buffer.from(readCached(leg, piece)));
      if (!a!.equals(b!)) differ.push(piece);
    }
    return differ;
  }
}

export async function create(name: string, line: string): Promise<void> {
  await dmsetup("create", name, "--noudevsync", "--verifyudev", "--table", line);
  await dmsetup("mknodes");
}

export async function remove(name: string): Promise<void> {
  await dmsetup("remove", "--noudevsync", name);
}

/** "32/32" regions in sync, and the log's words. */
export async function status(
  name: string,
): Promise<{ readonly synced: number; readonly health: string; readonly log: string }> {
  const text = await dmsetup("status", name);
  const match = / (\d+)\/\d+ 1 (\S+) (.*)$/.exec(text.trim());
  assert.ok(match, text);
  return { synced: Number(match[1]), health: match[2]!, log: match[3]! };
}

/** A program that writes a piece, so that this process never waits for a mirror itself. */
export async function write(
  name: string,
  piece: number,
  bytes: Uint8Array,
  timeoutMs = 60_000,
): Promise<void> {
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
export function readPiece(device: string, piece: number): Uint8Array {
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

/** Writes behind the mirror's back. */
export function scribble(device: string, piece: number, bytes: Uint8Array): void {
  const fd = openSync(device, "r+");
  writeSync(fd, bytes, 0, bytes.length, piece * PIECE);
  fsyncSync(fd);
  closeSync(fd);
}
