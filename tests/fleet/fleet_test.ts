import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import { FleetDatabase } from "../../lib/fleet/fleet_database.ts";
import { FleetError } from "../../lib/fleet/fleet_error.ts";
import { decodeSegment, type Segment } from "../../lib/fleet/segment.ts";
import { serverOf } from "../../lib/fleet/server_url.ts";
import { Spool } from "../../lib/fleet/spool.ts";
import { hostOf, subjectOf, tokenOf } from "../../lib/fleet/subject.ts";
import { openHistory, recordHistory } from "../../lib/history/mod.ts";
import { testFolder } from "../support/folder.ts";
import { at, BEGIN_US, ended, image, toolsAt } from "./support.ts";

const ROTATION = { keepUs: 1e15, maxBytes: 2 ** 40 };
const OWN = { bootId: "boot", pid: 7, startTicks: 7 };

/** A database that a collector fills. */
function collected(
  path: string,
): { readonly database: FleetDatabase; take(host: string, ...segments: Segment[]): void } {
  const database = new FleetDatabase(path, ROTATION, OWN, () => undefined);
  let sequence = database.position()?.sequence ?? 0;
  return {
    database,
    take(host, ...segments) {
      database.apply(segments.map((segment) => ({ host, segment })), {
        created: "then",
        sequence: ++sequence,
      });
    },
  };
}

/** Takes what is in a spool out of it. */
function taken(spool: Spool): Segment[] {
  const segments: Segment[] = [];
  for (let next = spool.next(); next !== undefined; next = spool.next()) {
    segments.push(decodeSegment(next.body));
    spool.acknowledge(next.segment);
  }
  return segments;
}

test("what a spool seals is what the database of a collector has, once", (t) => {
  const folder = testFolder(t);
  const spool = new Spool(join(folder, "spool.db"), "1", 1 << 30, toolsAt(0));
  const server = image(1, { at: -5, flags: 1, info: { commandLine: ["c1", "-D"] } });
  const hostile = '"); DROP TABLE image;--\u001b[2J<b>\udc80.*>';
  const hostileHost = hostOf(subjectOf("default", hostile))!;
  const child = image(2, {
    at: 0.1,
    lasts: 0.5,
    parent: 1,
    parentComm: "c1",
    status: 256,
    info: { comm: hostile, commandLine: [hostile, "a b"], cwd: hostile, cgroup: hostile, exe: hostile },
  });
  spool.write([server, child], [{ fromNs: 0n, toNs: 100n, lost: 3, reason: "lost" }], at(1), true);
  const later = image(3, { at: 1.1, parent: 1 });
  spool.write([later], [], at(2), false);
  spool.write([ended(later, 2.5)], [], at(3), false);
  const segments = taken(spool);
  assert.deepEqual(
    segments.map((
      { segment, sinceUs, recordedUs, endedBefore },
    ) => [segment, sinceUs, recordedUs, endedBefore]),
    [
      [1, at(0), at(1), 0],
      [2, at(1), at(2), 1],
      [3, at(2), at(3), 1],
    ],
  );
  spool.close();
  assert.deepEqual(spool.stats(), { segments: 0, bytes: 0, droppedSegments: 0, droppedPrograms: 0 });

  const path = join(folder, "fleet.db");
  const { database, take } = collected(path);
  assert.equal(statSync(path).mode & 0o777, 0o640);
  take(hostileHost, ...segments);
  take("web2", ...segments); // another machine may claim what it wants: its rows are its own
  take(hostileHost, ...segments);
  assert.deepEqual(database.counts, { segments: 6, rows: 8, repeated: 3, undelivered: 0 });
  assert.deepEqual(database.position(), { created: "then", sequence: 3 });
  database[Symbol.dispose]();
  using history = openHistory(path);
  assert.equal(history.query().length, 6);
  const rows = history.query({ host: hostileHost });
  assert.deepEqual(
    rows.map(({ host, comm, user, parentComm, commandLine, exitCode, ended, durationMs }) => [
      host,
      comm,
      user,
      parentComm,
      commandLine,
      exitCode,
      ended,
      durationMs,
    ]),
    [
      [hostileHost, "c1", "www-data", undefined, ["c1", "-D"], undefined, "running", undefined],
      [hostileHost, hostile, "www-data", "c1", [hostile, "a b"], 1, "exit", 500],
      [hostileHost, "c3", "www-data", undefined, undefined, 0, "exit", 1400],
    ],
  );
  assert.equal(rows[1]!.parent, rows[0]!.id);
  assert.deepEqual(history.query({ host: hostileHost, under: "c1" }).map(({ id }) => id), [
    rows[1]!.id,
    rows[2]!.id,
  ]);
  assert.deepEqual(
    history.gaps({ host: "web2" }).map(({ lost, reason, host }) => [lost, reason, host]),
    [[3, "lost", "web2"]],
  );
});

test("a restart goes on with what ran, and a gap says how long nothing was recorded", (t) => {
  const folder = testFolder(t);
  const path = join(folder, "spool.db");
  let spool = new Spool(path, "1", 1 << 30, toolsAt(0));
  spool.write([image(1, { at: 0.1 }), image(2, { at: 0.2 })], [], at(1), true);
  spool.close(); // as if killed: it has noted no end
  assert.throws(
    () => new Spool(path, "1", 1 << 30, toolsAt(5, { startTicksOf: () => 1 })),
    /^HistoryError: Cannot ship by way of .*: process 1 already does; stop it first$/,
  );
  spool = new Spool(path, "1", 1 << 30, toolsAt(5));
  assert.deepEqual(spool.open.map(({ id, pid, comm }) => [id, pid, comm]), [[1, 1001, "c1"], [
    2,
    1002,
    "c2",
  ]]);
  assert.equal(spool.nextId, 3);
  // As the tracker has them: one ended meanwhile, one runs on and is only found again.
  const gone = {
    ...image(2, { at: 0.2 }),
    process: undefined,
    stored: "yes" as const,
    ended: 1,
    endNs: 5_000_000_000n,
  };
  const stays = { ...image(1, { at: 0.1 }), stored: "yes" as const };
  spool.write([gone, stays], [], at(6), true);
  spool.finish(at(6));
  const segments = taken(spool);
  spool.close();
  const { database, take } = collected(join(folder, "fleet.db"));
  take("web1", ...segments);
  database[Symbol.dispose]();
  using history = openHistory(join(folder, "fleet.db"));
  assert.deepEqual(
    history.query().map(({ comm, ended, endMs }) => [comm, ended, endMs]),
    [["c1", "running", undefined], ["c2", "unknown", at(5) / 1000]],
  );
  assert.deepEqual(
    history.gaps().map(({ fromMs, toMs, reason, lost }) => [fromMs, toMs, reason, lost]),
    [[at(1) / 1000, at(5) / 1000, "off", undefined]],
  );
});

test("after a reboot, what ran has ended with the machine", (t) => {
  const folder = testFolder(t);
  const path = join(folder, "spool.db");
  const first = new Spool(path, "1", 1 << 30, toolsAt(0));
  first.write([image(1, { at: 0.1 })], [], at(1), true);
  first.close();
  const machine = { machineId: "m", name: "here", bootId: "boot 2", kernel: "6", bootedUs: at(60) };
  const spool = new Spool(path, "1", 1 << 30, toolsAt(70, { machine }));
  assert.deepEqual(spool.open, []);
  spool.write([image(2, { at: 61 })], [], at(71), true);
  const { database, take } = collected(join(folder, "fleet.db"));
  take("web1", ...taken(spool));
  spool.close();
  database[Symbol.dispose]();
  using history = openHistory(join(folder, "fleet.db"));
  assert.deepEqual(
    history.query().map(({ comm, ended, endMs }) => [comm, ended, endMs]),
    [["c1", "unknown", at(60) / 1000], ["c2", "running", undefined]],
  );
  assert.deepEqual(history.gaps().map(({ reason }) => reason), ["down"]);
});

test("of a spool that is full the oldest segments go, and a gap counts exactly what is missing", (t) => {
  const folder = testFolder(t);
  const noise = (): string =>
    Array.from({ length: 3000 }, () => Math.random().toString(36)[2] ?? "x").join("");
  const spool = new Spool(join(folder, "spool.db"), "1", 20_000, toolsAt(0));
  const daemon = image(1, { at: 0.1 });
  const stops = image(2, { at: 0.1 });
  spool.write([daemon, stops], [], at(1), true);
  const path = join(folder, "fleet.db");
  const { database, take } = collected(path);
  take("web1", ...taken(spool));
  assert.equal(spool.wantsAll, false);
  let sent = 2;
  for (let i = 1; i <= 60; i++) {
    const its = [image(2 + i, { at: i, lasts: 0.1, info: { commandLine: [noise()] } })];
    if (i === 3) its.push(ended(stops, 3.5));
    spool.write(its, [], at(i + 1), false);
    sent += its.length;
  }
  const { droppedSegments, droppedPrograms, bytes } = spool.stats();
  assert(droppedSegments > 30 && droppedSegments < 60 && bytes <= 20_000);
  assert.equal(droppedPrograms, droppedSegments + 1); // those that ended in the third one: two
  assert.equal(spool.wantsAll, true);
  spool.write([daemon], [], at(62), true);
  assert.equal(spool.wantsAll, false);
  take("web1", ...taken(spool));
  spool.close();
  const lost = database.counts.undelivered;
  database[Symbol.dispose]();
  using history = openHistory(path);
  const rows = history.query();
  const complete = rows.filter(({ ended }) => ended === "exit").length;
  assert.equal(lost, spool.stats().droppedPrograms);
  assert.equal(complete, 60 - (lost - 1));
  // One row of the two that ran is still open; the end of the other did not arrive.
  assert.deepEqual(
    rows.filter(({ ended }) => ended !== "exit").map(({ comm, ended }) => [comm, ended]),
    [["c1", "running"], ["c2", "unknown"]],
  );
  const gap = history.gaps();
  assert.deepEqual(gap.map(({ lost, reason, fromMs }) => [lost, reason, fromMs]), [[
    lost,
    "undelivered",
    at(1) / 1000,
  ]]);
  assert(rows.every(({ startMs, comm }) => startMs >= gap[0]!.toMs || comm === "c1" || comm === "c2"));
  assert(sent > complete);
});

test("a failed write changes nothing, and is done again", (t) => {
  const folder = testFolder(t);
  const spool = new Spool(join(folder, "spool.db"), "1", 1 << 30, toolsAt(0));
  spool.write([image(1, { at: 0.1, lasts: 1 })], [], at(1), true);
  const [segment] = taken(spool);
  spool.close();
  const path = join(folder, "fleet.db");
  const { database, take } = collected(path);
  const broken = {
    ...segment!,
    rows: [...segment!.rows, { ...segment!.rows[0]!, id: 9, pid: null as unknown as number }],
  };
  assert.throws(() => take("web1", broken));
  assert.deepEqual(database.counts, { segments: 0, rows: 0, repeated: 0, undelivered: 0 });
  assert.equal(database.position(), undefined);
  take("web1", segment!);
  database[Symbol.dispose]();
  using history = openHistory(path);
  assert.deepEqual(history.query().map(({ comm, ended }) => [comm, ended]), [["c1", "exit"]]);
});

test("what is no segment is refused with a reason", () => {
  const pack = (value: unknown): Uint8Array => zstdCompressSync(JSON.stringify(value));
  const row = { id: 1, pid: 1, startUs: 1, ended: 0, flags: 0 };
  const good = {
    version: 1,
    spool: "0".repeat(32),
    segment: 1,
    beganUs: 1,
    endedBefore: 0,
    sinceUs: 1,
    recordedUs: 2,
    boot: { id: "b", kernel: "6", bootedUs: 1 },
    run: { pid: 1, startTicks: 1, version: "1", startedUs: 1 },
    gaps: [],
    rows: [row],
  };
  assert.deepEqual(decodeSegment(pack(good)).rows, [row]);
  for (
    const [bytes, reason] of [
      [new Uint8Array(), /no JSON compressed by zstd/],
      [new TextEncoder().encode("{}"), /no JSON compressed by zstd/],
      [zstdCompressSync(new Uint8Array(64 << 20)), /or too long/],
      [pack([]), /no object/],
      [pack({ ...good, version: 2 }), /of version 2, and this program knows 1/],
      [pack({ ...good, spool: "x' OR 1" }), /field spool is wrong/],
      [pack({ ...good, segment: 0 }), /field segment is wrong/],
      [pack({ ...good, boot: {} }), /field boot is wrong/],
      [pack({ ...good, rows: {} }), /field rows is wrong/],
      [pack({ ...good, rows: [{ ...row, id: -1 }] }), /field rows.id is wrong/],
      [pack({ ...good, rows: [{ ...row, id: 2 ** 60 }] }), /field rows.id is wrong/],
      [pack({ ...good, rows: [{ ...row, argv: [1] }] }), /field rows.argv is wrong/],
      [pack({ ...good, rows: [{ ...row, comm: {} }] }), /field rows.comm is wrong/],
      [pack({ ...good, running: ["1"] }), /field running is wrong/],
      [pack({ ...good, gaps: [{ fromUs: 1 }] }), /field gaps.toUs is wrong/],
    ] as const
  ) {
    assert.throws(
      () => decodeSegment(bytes),
      (error) => error instanceof FleetError && reason.test(error.message),
    );
  }
});

test("names become tokens of a subject and come back", () => {
  for (const name of ["web1", "web1.example.com", "a b*>.$é\u001b", "%2E", "default"]) {
    const subject = subjectOf("default", name);
    assert.match(subject, /^cnctl\.default\.[^.*>\s]+\.process$/);
    assert.equal(hostOf(subject), name);
  }
  assert.equal(hostOf(subjectOf("lab", "web1")), "lab/web1");
  assert.equal(tokenOf("web1.example.com"), "web1%2Eexample%2Ecom");
  assert.equal(hostOf("cnctl.default.%zz.process"), "%zz");
  for (const other of ["", "cnctl", "cnctl.a.b.c", "cnctl.a.b.process.d"]) {
    assert.equal(hostOf(other), undefined);
  }
});

test("a URL of a server is checked, and has no password", () => {
  assert.deepEqual(serverOf("nats://nats.example.com"), { server: "nats.example.com:4222", tls: false });
  assert.deepEqual(serverOf("tls://[::1]:4333/"), { server: "[::1]:4333", tls: true });
  for (const wrong of ["", "nats.example.com", "http://x", "nats://", "nats://x/y", "nats://x?y"]) {
    assert.throws(() => serverOf(wrong), /it must be nats:\/\/HOST:PORT or tls:\/\/HOST:PORT/, wrong);
  }
  assert.throws(() => serverOf("nats://u:p@x"), /put user:password into a file/);
});

test("a user is who has the number on that machine", (t) => {
  const folder = testFolder(t);
  const { database, take } = collected(join(folder, "fleet.db"));
  for (const [host, name] of [["web1", "alice"], ["web2", "bob"], ["web3", "alice"]] as const) {
    const users = new Map([[33, name], [7, "carol"]]);
    const spool = new Spool(join(folder, `${host}.db`), "1", 1 << 30, toolsAt(0, { users }));
    spool.write(
      [image(1, { at: 0, lasts: 0.1 }), image(2, { at: 0, lasts: 0.1, info: { uid: 7 } })],
      [],
      at(1),
      true,
    );
    take(host, ...taken(spool));
    spool.close();
  }
  database[Symbol.dispose]();
  using history = openHistory(join(folder, "fleet.db"));
  const hosts = (...users: (string | number)[]): unknown[] =>
    history.query({ users }).map(({ host, uid }) => [host, uid]);
  assert.deepEqual(hosts("alice"), [["web1", 33], ["web3", 33]]);
  assert.deepEqual(hosts("bob"), [["web2", 33]]);
  assert.deepEqual(hosts("bob", "carol"), [["web1", 7], ["web2", 33], ["web2", 7], ["web3", 7]]);
  assert.equal(hosts(33).length, 3);
  assert.throws(() => hosts("dave"), /no process of the user "dave" is in it/);
});

test("files that are something else are refused", async (t) => {
  const folder = testFolder(t);
  const path = (name: string): string => join(folder, name);
  new Spool(path("spool.db"), "1", 1 << 30, toolsAt(0)).close();
  collected(path("fleet.db")).database[Symbol.dispose]();
  writeFileSync(path("text"), "no database at all, but long enough to be none".repeat(10));
  const spoolOf = (name: string): Spool => new Spool(path(name), "1", 1 << 30, toolsAt(0));
  assert.throws(
    () => spoolOf("fleet.db"),
    /Cannot ship by way of .*: it is a database, but no spool of cnctl ship/,
  );
  assert.throws(() => spoolOf("text"), /Cannot ship by way of .*: it is no SQLite database/);
  assert.throws(() => spoolOf("no/spool.db"), /it cannot be opened: check that the folder exists/);
  assert.throws(() => spoolOf("."), /it is a folder/);
  assert.throws(
    () => collected(path("spool.db")),
    /Cannot collect into .*: it is a database, but not one of cnctl record/,
  );
  assert.throws(
    () => new FleetDatabase(path("fleet.db"), ROTATION, { ...OWN, pid: 8 }, () => 7),
    /Cannot collect into .*: process 7 already does; stop it first/,
  );
  await assert.rejects(
    recordHistory(path("fleet.db")),
    /Cannot record into .*: cnctl collect fills it; record into another file|Cannot .* processes/,
  );
  assert.equal(BEGIN_US, at(0));
});
