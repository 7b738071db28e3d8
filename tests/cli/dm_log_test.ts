import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TimeText } from "../../lib/cli/io/time.ts";
import {
  assertCanReply,
  assertSoleServer,
  existingFolder,
  kernelLoadsModules,
  moduleLoaded,
  ownStatus,
} from "../../lib/cli/commands/dm_log/dm_log.ts";
import {
  type DmLogEvent,
  dmLogJson,
  dmLogSentence,
  dmLogText,
  EventWriter,
  isTrouble,
} from "../../lib/cli/commands/dm_log/events.ts";
import { errorEvent, serveUntil } from "../../lib/cli/commands/dm_log/serve.ts";
import { inspectBus } from "../../lib/connector/bus.ts";
import { observeLogs } from "../../lib/cli/commands/dm_log/observed_log.ts";
import type { Output } from "../../lib/cli/io/output.ts";
import { run } from "../../lib/cli/program.ts";
import { decodeDmLogReply, type DmLogReply } from "../../lib/protocols/dm_log/reply.ts";
import { openConnector } from "../../mod.ts";
import {
  coreLogs,
  type DirtyLog,
  DirtyLogError,
  type DmLogCtr,
  type DmLogRequest,
} from "../../lib/protocols/dm_log/mod.ts";
import { Pair, whyNoBus } from "../protocols/vectors/pair.ts";
import { encodeDmLogRequest } from "../protocols/kernel/dm_log.ts";

const ID = { idx: 7, val: 1 };
const skip = await whyNoBus(ID);
const common = { luid: 7n, uuid: "LOG-1", version: 3, seq: 1 };
const OBEYED = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const EVIL = "a\x1b[2J\nb\u202e";

async function say(...args: string[]): Promise<{ status: number; out: string; error: string }> {
  let [out, error] = ["", ""];
  const status = await run(args, { out: (text) => out += text, error: (text) => error += text });
  return { status, out, error };
}

function ctr(kind: string, sectors = "4096", more: Partial<DmLogCtr> = {}): DmLogCtr {
  return { ...common, type: "ctr", args: [sectors, kind, "1024"], again: false, ...more };
}

test("wrong arguments of dm-log are refused with status 2, and a folder that is none with status 1", async () => {
  const cases: readonly (readonly [string[], number, RegExp])[] = [
    [[], 2, /^cnctl: choose the logs to serve: --core, --disk FOLDER, or both\nSee: cnctl dm-log --help\n$/],
    [["--verbose", "--json"], 2, /choose the logs to serve/],
    [["--disk"], 2, /argument missing/],
    [["--cor"], 2, /unknown option '--cor'\n\(Did you mean --core\?\)/],
    [["--core", "more"], 2, /too many arguments/],
    [["--disk", "/nonexistent"], 1, /^cnctl: Cannot keep dirty logs in \/nonexistent: ENOENT/],
    [["--disk", "/dev/null"], 1, /^cnctl: Cannot keep dirty logs in \/dev\/null: it is not a folder\n$/],
  ];
  for (const [args, expected, text] of cases) {
    const { status, out, error } = await say("dm-log", ...args);
    assert.deepEqual([args, status, out], [args, expected, ""], error);
    assert.match(error, text);
  }
});

test("it explains itself in 80 columns: the table line, and what happens without a server", async () => {
  const { out } = await say("dm-log", "--help");
  assert.match(out, /mirror userspace 3 UUID disk 1024 2 \/dev\/a 0 \/dev\/b 0/);
  assert.match(out, /the kernel waits/);
  for (const line of out.split("\n")) assert.ok(line.length <= 80, line);
});

test("a kernel that cannot send requests is an error, and the error says why", async () => {
  const asks = { identifiers: [{ id: { idx: 7, val: 1 }, name: "dmlogusr" }], sockets: [] };
  const silent = { identifiers: [{ id: { idx: 1, val: 1 }, name: "cn_proc" }], sockets: [] };
  assert.equal(moduleLoaded(asks, false), true);
  assert.equal(moduleLoaded(silent, true), false);
  assert.throws(() => moduleLoaded(silent, false), /does not list 7:1.*CONFIG_DM_LOG_USERSPACE/);
  assert.throws(
    () => moduleLoaded({ identifiers: undefined, sockets: [] }, true),
    /network namespace/,
  );
  const waits = dmLogSentence({ type: "serving", core: true, disk: null, loaded: false, port: 42 });
  assert.match(waits, /^serving core logs, as port 42; dm-log-userspace is not loaded yet: the first mirror/);
  if (skip !== false || kernelLoadsModules() || process.getuid?.() !== 0) return;
  const { identifiers } = await inspectBus();
  if (identifiers?.some(({ id }) => id.idx === 7)) return;
  const { status, out, error } = await say("dm-log", "--core");
  assert.deepEqual([status, out], [1, ""]);
  assert.match(error, /^cnctl: Cannot serve dirty logs: this kernel has no dm-log-userspace/);
});

test("a server without the capability, or a second one, fails at the start", () => {
  assert.throws(
    () => assertCanReply("Name:\tx\nCapEff:\t0000000000001000\n"),
    /only from programs with CAP_SYS_ADMIN: run this as root/,
  );
  assert.doesNotThrow(() => assertCanReply("CapEff:\t0000000000200000\n"));
  assert.doesNotThrow(() => assertCanReply(undefined));
  assert.match(ownStatus()!, /^CapEff:/m);
  const socket = { receiveBytes: 0, drops: 0, inode: 1 };
  const kernel = { ...socket, port: 0, groups: [], owners: [] };
  const other = { ...socket, port: 42, groups: [7], owners: [{ pid: 9, comm: "ev\x1bil" }] };
  assert.doesNotThrow(() =>
    assertSoleServer({ identifiers: [], sockets: [kernel, { ...other, groups: [1, 3] }] })
  );
  assert.throws(
    () => assertSoleServer({ identifiers: [], sockets: [kernel, other] }),
    /port 42 \(process 9 ev\\x1bil\).*--force/,
  );
  assert.equal(existingFolder("/tmp/../tmp"), "/tmp");
});

const EVENTS: readonly DmLogEvent[] = [
  { type: "serving", core: true, disk: EVIL, loaded: true, port: 42 },
  { type: "created", uuid: EVIL, log: EVIL, regions: 4, regionSize: 1024, again: true },
  { type: "resumed", uuid: EVIL, inSync: 3, regions: 4 },
  { type: "in_sync", uuid: EVIL, regions: 1 },
  { type: "out_of_sync", uuid: EVIL, region: "3" },
  { type: "suspended", uuid: EVIL },
  { type: "removed", uuid: EVIL },
  { type: "unknown_log", uuid: EVIL, request: "flush" },
  { type: "damage", path: EVIL, firstRegion: 0, regions: 2016 },
  { type: "error", uuid: EVIL, request: "ctr", message: EVIL },
  { type: "error", uuid: null, request: null, message: EVIL },
  { type: "request", uuid: EVIL, request: "status_info", regions: ["1", "2"], answer: EVIL },
  { type: "unwritten", count: 2 },
  { type: "ended", left: 2, stats: { answered: { ctr: 1, flush: 2 }, failed: 1, malformed: 0, logs: 0 } },
];

test("every event is one line that is safe for a terminal", () => {
  const times = new TimeText();
  for (const event of EVENTS) {
    const text = dmLogText(event, 0, times);
    assert.ok(text.endsWith("\n"));
    assert.doesNotMatch(text.slice(0, -1), OBEYED);
    const json = dmLogJson(event, 0, times);
    assert.doesNotMatch(json.slice(0, -1), OBEYED);
    const parsed = JSON.parse(json);
    assert.equal(parsed.type, event.type);
    for (const [name, value] of Object.entries(event)) {
      if (name !== "stats") assert.deepEqual(parsed[name], value);
    }
  }
  const lines = EVENTS.map((event) =>
    dmLogText({ ...event, uuid: "U" } as DmLogEvent, 0, times).slice(13, -1)
  );
  assert.equal(lines[1], "took over U: a\\x1b[2J\\nb\\u202e, 4 regions of 1024 sectors");
  assert.equal(lines[3], "in sync U: all 1 region");
  assert.equal(
    lines.at(-1),
    "ended: 3 requests answered, 1 with an error, 0 malformed; the mirrors of 2 logs wait until a server is back",
  );
  assert.deepEqual(EVENTS.filter(isTrouble).map(({ type }) => type), [
    "out_of_sync",
    "damage",
    "error",
    "error",
    "ended",
  ]);
});

/** The events of a log that is used as the kernel would use it. */
async function observed(verbose: boolean, live: (log: DirtyLog) => unknown): Promise<DmLogEvent[]> {
  const events: DmLogEvent[] = [];
  const { log } = await observeLogs(coreLogs(), (event) => events.push(event), verbose).create(ctr("core"));
  await live(log);
  return events;
}

test("the life of a mirror is reported: created, resumed, in sync once, failed leg once, suspended, removed", async () => {
  const events = await observed(false, (log) => {
    log.resume(false);
    for (const region of [0n, 1n, 2n, 3n]) log.setRegionSync(region, true);
    log.setRegionSync(3n, true);
    log.setRegionSync(2n, false);
    log.setRegionSync(1n, false);
    log.setRegionSync(2n, true);
    log.setRegionSync(1n, true);
    log.presuspend?.();
    log.postsuspend?.();
    log.resume(false);
    log.destroy();
  });
  const uuid = common.uuid;
  assert.deepEqual(events, [
    { type: "created", uuid, log: "core", regions: 4, regionSize: 1024, again: false },
    { type: "resumed", uuid, inSync: 0, regions: 4 },
    { type: "in_sync", uuid, regions: 4 },
    { type: "out_of_sync", uuid, region: "2" },
    { type: "in_sync", uuid, regions: 4 },
    { type: "suspended", uuid },
    { type: "resumed", uuid, inSync: 4, regions: 4 },
    { type: "removed", uuid },
  ]);
});

test("with --verbose every request is reported with its answer, which stays the same", async () => {
  const answers: unknown[] = [];
  const events = await observed(true, async (log) => {
    answers.push(log.markRegions([0n, 2n]), log.isClean(2n), log.inSync(0n), log.flush(), log.resyncWork());
    answers.push(log.setRegionSync(0n, true), log.syncCount(), log.status("info"), log.status("table"));
    answers.push(log.clearRegions([2n]), log.isClean(2n), log.remoteRecovering?.(0n), log.presuspend?.());
    await Promise.all(answers);
  });
  assert.ok(!answers.some((answer) => answer instanceof Promise), "what answers at once goes on to do so");
  assert.deepEqual(answers, [
    undefined,
    false,
    false,
    undefined,
    0n,
    undefined,
    1n,
    "1 core",
    "1 core",
    undefined,
    true,
    { recovering: false, inSyncHint: 1n },
    undefined,
  ]);
  const requests = events.flatMap((event) =>
    event.type === "request" ? [[event.request, event.regions.join(), event.answer]] : []
  );
  assert.deepEqual(requests, [
    ["mark_region", "0,2", null],
    ["is_clean", "2", false],
    ["in_sync", "0", false],
    ["flush", "", null],
    ["get_resync_work", "", "0"],
    ["set_region_sync", "0", true],
    ["get_sync_count", "", "1"],
    ["status_info", "", "1 core"],
    ["status_table", "", "1 core"],
    ["clear_region", "2", null],
    ["is_clean", "2", true],
    ["is_remote_recovering", "0", false],
    ["presuspend", "", null],
  ]);
});

test("a request for an unknown log is how a server takes over; other errors are trouble", () => {
  const request = { ...common, type: "flush", regions: [] } as const satisfies DmLogRequest;
  assert.deepEqual(errorEvent(new DirtyLogError("x", 3, "there is no log"), request), {
    type: "unknown_log",
    uuid: common.uuid,
    request: "flush",
  });
  assert.deepEqual(errorEvent(new DirtyLogError("use a file", 5, "bad"), request), {
    type: "error",
    uuid: common.uuid,
    request: "flush",
    message: "Cannot use a file: bad",
  });
  assert.deepEqual(errorEvent("why", undefined), {
    type: "error",
    uuid: null,
    request: null,
    message: "why",
  });
});

/** An output whose reader reads on command. */
class SlowOutput implements Output {
  text = "";
  readonly #pending: ((reads: boolean) => void)[] = [];

  width(): undefined {
    return undefined;
  }

  write(text: string): Promise<boolean> {
    this.text += text;
    return new Promise((resolve) => this.#pending.push(resolve));
  }

  async read(reads = true): Promise<void> {
    this.#pending.shift()?.(reads);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

test("a slow reader misses lines, which are counted, and blocks nothing", async () => {
  const output = new SlowOutput();
  const complaints: string[] = [];
  const writer = new EventWriter(output, (text) => complaints.push(text), true);
  const uuid = "x".repeat(1000);
  for (let i = 0; i < 2000; i++) writer.write({ type: "suspended", uuid });
  while (output.text.split("\n").length < 2) await output.read();
  writer.write({ type: "suspended", uuid });
  for (let i = 0; i < 10; i++) await output.read();
  const lines = output.text.trim().split("\n").map((line) => JSON.parse(line));
  const left = lines.filter(({ type }) => type === "unwritten").reduce((sum, { count }) => sum + count, 0);
  assert.ok(left > 500, `${left}`);
  assert.equal(lines.filter(({ type }) => type === "suspended").length + left, 2001);
  assert.deepEqual(complaints, []);
});

test("the same error goes to standard error once a minute, and to JSON each time", () => {
  const output = new SlowOutput();
  const complaints: string[] = [];
  const writer = new EventWriter(output, (text) => complaints.push(text), true);
  const error = (request: string): DmLogEvent => ({ type: "error", uuid: "A", request, message: "full" });
  for (let i = 0; i < 3000; i++) writer.write(error(i % 2 === 0 ? "flush" : "in_sync"));
  writer.write({ type: "out_of_sync", uuid: "A", region: "1" });
  writer.write({ type: "out_of_sync", uuid: "A", region: "1" });
  assert.deepEqual(complaints.map((text) => text.split(" ")[1]), ["REFUSED", "REFUSED", "LEG", "LEG"]);
});

test("neither a closed output nor a full disk stops the server", async () => {
  const output = new SlowOutput();
  const complaints: string[] = [];
  const writer = new EventWriter(output, (text) => complaints.push(text), false);
  writer.write({ type: "suspended", uuid: "A" });
  await output.read(false);
  writer.write({ type: "suspended", uuid: "B" });
  writer.write({ type: "damage", path: "/x", firstRegion: 0, regions: 1 });
  await writer.finish(1000);
  assert.match(output.text, /^\S+ suspended A\n$/);
  assert.deepEqual(complaints, [
    "cnctl: DAMAGED /x: 1 region lost, starting at 0; they will be resynchronized\n",
  ]);
  const full = new EventWriter(
    { width: () => undefined, write: () => Promise.reject(new Error("Cannot write the output: ENOSPC")) },
    (text) => complaints.push(text),
    true,
  );
  full.write({ type: "suspended", uuid: "C" });
  await full.finish(1000);
  assert.equal(complaints.at(-1), "cnctl: Cannot write the output: ENOSPC: the server keeps running\n");
});

test("trouble goes to standard error, and as JSON to standard output as well", async () => {
  for (const json of [false, true]) {
    const output = new SlowOutput();
    const complaints: string[] = [];
    const writer = new EventWriter(output, (text) => complaints.push(text), json);
    writer.write({ type: "error", uuid: "U", request: "ctr", message: EVIL });
    await output.read();
    assert.deepEqual(complaints, ["cnctl: REFUSED ctr U: a\\x1b[2J\\nb\\u202e\n"]);
    assert.equal(output.text.includes('"type":"error"'), json);
  }
});

/** Serves a program that plays the kernel, until `use` is done; returns the events. */
async function served(
  disk: string | null,
  use: (ask: (request: DmLogRequest) => Promise<DmLogReply>) => Promise<void>,
): Promise<DmLogEvent[]> {
  await using pair = await Pair.open();
  const events: DmLogEvent[] = [];
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => stop = resolve);
  const serving = serveUntil(
    stopped,
    pair.program,
    { core: true, disk, loaded: true, verbose: false },
    (event) => events.push(event),
  );
  let seq = 100;
  while (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await use(async (request) => {
    const { data } = await pair.kernel.request(ID, encodeDmLogRequest({ ...request, seq }), {
      group: 7,
      seq: seq++,
      ack: 0,
      isReply: () => true,
      timeoutMs: 5000,
    });
    return decodeDmLogReply(data);
  });
  stop();
  await serving;
  return events;
}

/** The files below a folder that this process has open. */
function openBelow(folder: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one by which the folder was read
    }
  }).filter((path) => path.startsWith(`${folder}/`));
}

test("it serves until it is stopped, and closes its files", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-log-"));
  try {
    const events = await served(folder, async (ask) => {
      assert.equal((await ask(ctr("disk"))).error, 0);
      assert.deepEqual(await ask({ ...common, type: "resume" }), { type: "resume", error: 0 });
      assert.equal(openBelow(folder).length, 1);
      assert.equal((await ask(ctr("nothing", "4096", { luid: 8n, uuid: EVIL }))).error, -22);
      assert.equal((await ask({ ...common, luid: 9n, type: "flush", regions: [] })).error, -3);
    });
    assert.deepEqual(events.map(({ type }) => type), [
      "serving",
      "created",
      "resumed",
      "error",
      "unknown_log",
      "ended",
    ]);
    const ended = events.at(-1);
    assert.ok(ended?.type === "ended" && ended.left === 1 && ended.stats.failed === 2, JSON.stringify(ended));
    assert.equal(openBelow(folder).length, 0);

    // A wrong file is refused, a damaged part is accepted; both are reported.
    const path = join(folder, "LOG-1.dirtylog");
    const good = readFileSync(path);
    const bad = Uint8Array.from(good);
    bad[30]! ^= 1;
    writeFileSync(path, bad);
    const refused = await served(folder, async (ask) => assert.equal((await ask(ctr("disk"))).error, -5));
    assert.ok(refused.some((its) => its.type === "error" && its.message.includes("checksum of its header")));
    assert.equal(openBelow(folder).length, 0);
    const torn = Uint8Array.from(good);
    torn[600]! ^= 1;
    writeFileSync(path, torn);
    const damaged = await served(folder, async (ask) => assert.equal((await ask(ctr("disk"))).error, 0));
    assert.ok(damaged.some((its) => its.type === "damage" && its.path === path && its.regions === 4));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a connector that ends is an error, and closes the files as well", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "dm-log-"));
  try {
    const abort = new AbortController();
    await using bus = await openConnector({ signal: abort.signal });
    const events: DmLogEvent[] = [];
    const serving = serveUntil(
      new Promise(() => {}),
      bus,
      { core: false, disk: folder, loaded: true, verbose: false },
      (event) => events.push(event),
    );
    while (events.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    abort.abort(new Error("it broke"));
    await assert.rejects(serving, /it broke/);
    assert.deepEqual(events.map(({ type }) => type), ["serving", "ended"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
