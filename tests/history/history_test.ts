import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { Image, ImageGap } from "../../lib/history/images.ts";
import { type HistoryImage, type HistoryQuery, openHistory, recordHistory } from "../../lib/history/mod.ts";
import type { StoreTools } from "../../lib/history/recorder.ts";
import type { Rotation } from "../../lib/history/rotation.ts";
import { selectCounts } from "../../lib/history/counts.ts";
import { selectIds } from "../../lib/history/query.ts";
import { ENDED } from "../../lib/history/schema.ts";
import { HistoryWriter } from "../../lib/history/writer.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";
import { cnctl } from "../support/cnctl.ts";
import { testFolder } from "../support/folder.ts";

/** When the story begins: microseconds since 1970, and CLOCK_MONOTONIC. */
const BEGIN_US = 1_700_000_000_000_000;
const SECOND_US = 1_000_000;

/** A writer on a clock of its own: its CLOCK_MONOTONIC begins with the story. */
function writerOf(
  path: string,
  tools: Partial<StoreTools> = {},
  startedUs: number = BEGIN_US,
  rotation: Rotation = { keepUs: 1000 * SECOND_US, maxBytes: 2 ** 40 },
): HistoryWriter {
  return new HistoryWriter(path, "1", rotation, {
    machine: { machineId: "machine", name: "here", bootId: "boot", kernel: "6", bootedUs: BEGIN_US },
    recorder: { pid: 1, startTicks: 1 },
    startedUs,
    users: new Map([[0, "root"], [33, "www-data"]]),
    startTicksOf: () => undefined,
    wallUs: (ns) => BEGIN_US + Number(ns / 1000n),
    monotonicNs: (us) => BigInt(us - BEGIN_US) * 1000n,
    ...tools,
  });
}

interface Made extends Partial<Omit<Image, "process">> {
  readonly comm: string | undefined;
  /** Seconds after the beginning. */
  readonly at: number;
  /** How long it lasts, in seconds; undefined for one that runs. */
  readonly lasts?: number | undefined;
  readonly info?: Partial<ProcessInfo>;
}

function image(id: number, { comm, at, lasts, info, ...rest }: Made): Image {
  const startNs = BigInt(Math.round(at * 1e9));
  return {
    id,
    pid: 1000 + id,
    process: { ...emptyInfo(1000 + id, undefined), comm, exe: `/usr/bin/${comm}`, uid: 0, ...info },
    parent: undefined,
    parentComm: undefined,
    startTicks: Math.round(at * 100),
    startNs,
    endNs: lasts === undefined ? undefined : startNs + BigInt(Math.round(lasts * 1e9)),
    measured: true,
    ended: lasts === undefined ? ENDED.RUNNING : ENDED.EXIT,
    status: lasts === undefined ? null : 0,
    usage: undefined,
    flags: 0,
    stored: "no",
    queued: false,
    ...rest,
  };
}

/** A night: cron runs a backup that fails, a web server answers, and something lasts long. */
const NIGHT: readonly Image[] = [
  image(1, { comm: "init", at: 0 }),
  image(2, { comm: "cron", at: 1, parent: 1, parentComm: "init" }),
  image(3, { comm: "sh", at: 60, lasts: 30, parent: 2, parentComm: "cron" }),
  image(4, { comm: "rsync", at: 61, lasts: 28, parent: 3, parentComm: "sh", status: 12 << 8 }),
  image(5, { comm: "nginx", at: 2, lasts: 500, parent: 1, parentComm: "init", info: { uid: 33 } }),
  image(6, {
    comm: "php",
    at: 100,
    lasts: 0.01,
    parent: 5,
    parentComm: "nginx",
    info: { uid: 33 },
    status: 139,
  }),
  image(7, {
    comm: "a-very-long-nam",
    at: 101,
    lasts: 2,
    parent: 1,
    parentComm: "init",
    info: { exe: "/opt/a-very-long-name" },
  }),
];

function night(t: { after(action: () => void): void }, gaps: readonly ImageGap[] = []): string {
  const path = join(testFolder(t), "history.db");
  using writer = writerOf(path);
  writer.write(NIGHT.map((each) => ({ ...each })), gaps, BEGIN_US + 600 * SECOND_US);
  writer.finish(BEGIN_US + 600 * SECOND_US);
  return path;
}

function names(images: readonly HistoryImage[]): string {
  return images.map(({ comm }) => comm).join(" ");
}

/** Seconds after the beginning, in milliseconds since 1970. */
function ms(seconds: number): number {
  return BEGIN_US / 1000 + seconds * 1000;
}

test("queries choose by time, name, user, failure, ancestor, and sort", (t) => {
  using history = openHistory(night(t));
  const cases: readonly (readonly [HistoryQuery, string])[] = [
    [{}, "init cron nginx sh rsync php a-very-long-nam"],
    [{ limit: 2 }, "php a-very-long-nam"],
    [{ limit: 0 }, ""],
    // What runs at some time of the range: nginx began long before, and init still runs.
    [{ sinceMs: ms(89.5), untilMs: ms(100.5) }, "init cron nginx sh php"],
    [{ sinceMs: ms(100.005), untilMs: ms(100.5), users: ["www-data"] }, "nginx php"],
    [{ sinceMs: ms(700) }, "init cron"],
    [{ failed: true }, "rsync php"],
    [{ failed: true, users: [33] }, "php"],
    [{ users: ["33"] }, "nginx php"],
    [{ names: ["rsync"] }, "rsync"],
    [{ names: ["rsync", "ph?"] }, "rsync php"],
    [{ names: ["a-very-long-name"] }, "a-very-long-nam"],
    [{ names: ["a-very-long-nam"] }, "a-very-long-nam"],
    [{ names: ["no%such"] }, ""],
    [{ exes: ["/usr/bin/*"] }, "init cron nginx sh rsync php"],
    [{ exes: ["php"] }, "php"],
    [{ under: "cron" }, "sh rsync"],
    [{ under: 1005 }, "php"],
    [{ under: "cron", failed: true }, "rsync"],
    [{ pids: [1004, 1006] }, "rsync php"],
    [{ host: "here", failed: true }, "rsync php"],
    [{ host: "there" }, ""],
    [{ orderBy: "duration", limit: 2 }, "nginx sh"],
    [{ orderBy: "duration", limit: 5 }, "nginx sh rsync a-very-long-nam php"],
    [{ orderBy: "duration", users: ["www-data"] }, "nginx php"],
    [{ orderBy: "cpu", limit: 3 }, ""],
  ];
  for (const [query, expected] of cases) {
    assert.equal(names(history.query(query)), expected, JSON.stringify(query));
  }
  assert.throws(
    () => history.query({ users: ["nobody-here"] }),
    /no process of the user "nobody-here" is in it/,
  );
});

test("rows have what was recorded", (t) => {
  using history = openHistory(night(t));
  const [rsync, php] = history.query({ failed: true });
  assert.deepEqual(
    [
      rsync!.exitCode,
      rsync!.signal,
      rsync!.coreDumped,
      rsync!.parent,
      rsync!.parentComm,
      rsync!.host,
      rsync!.user,
    ],
    [12, undefined, false, 3, "sh", "here", "root"],
  );
  assert.deepEqual([rsync!.startMs, rsync!.endMs, rsync!.durationMs], [ms(61), ms(89), 28_000]);
  assert.deepEqual([php!.exitCode, php!.signal, php!.coreDumped, php!.user], [
    undefined,
    "SIGSEGV",
    true,
    "www-data",
  ]);
  assert.equal(history.image(1)?.ended, "running");
  assert.equal(history.image(99), undefined);
  assert.equal(history.recordedMs(), ms(600));
});

test("counts by program, user, parent and control group", (t) => {
  using history = openHistory(night(t));
  const text = (by: "user" | "parent" | "cgroup" | "program", query: HistoryQuery = {}): string =>
    history.count(by, query).map(({ name, count, failed }) => `${name}:${count}/${failed}`).sort().join(" ");
  assert.equal(text("user"), "root:5/1 www-data:2/1");
  assert.equal(text("parent"), "cron:1/0 init:3/0 nginx:1/1 sh:1/1 undefined:1/0");
  assert.equal(text("cgroup"), "undefined:7/2");
  assert.equal(text("program", { sinceMs: ms(60), untilMs: ms(101) }), "php:1/1 rsync:1/1 sh:1/0");
  assert.equal(text("program", { failed: true }), "php:1/1 rsync:1/1");
  assert.equal(text("program", { under: "cron" }), "rsync:1/1 sh:1/0");
});

test("the counts of each hour are those of its rows, whatever happens to these", (t) => {
  const path = join(testFolder(t), "history.db");
  using writer = writerOf(path);
  const HOUR = 3600;
  const rows = Array.from({ length: 3000 }, (_, i) =>
    image(i + 1, {
      comm: i % 7 === 0 ? undefined : `c${i % 5}`,
      at: i * 5,
      lasts: i % 3 === 0 ? undefined : 1,
      status: i % 3 === 0 ? null : i % 4 === 0 ? 256 : 0,
      parentComm: i % 2 === 0 ? undefined : `p${i % 3}`,
      info: { uid: i % 3, cgroup: i % 11 === 0 ? undefined : `/g${i % 2}` },
    }));
  using history = openHistory(path);
  const check = (): void => {
    const columns = { program: "comm", user: "uid", parent: "parent_comm", cgroup: "cgroup" } as const;
    for (const by of ["program", "user", "parent", "cgroup"] as const) {
      for (
        const [since, until] of [[undefined, undefined], [1000, 2.5 * HOUR], [HOUR, 2 * HOUR], [
          100,
          200,
        ]] as const
      ) {
        const sinceMs = since && ms(since);
        const untilMs = until && ms(until);
        const { rows } = history.sql(
          `SELECT ${columns[by]}, count(*), count(nullif(status, 0)) FROM image WHERE start_us >= ${
            (sinceMs ?? 0) * 1000
          }
           AND start_us < ${(untilMs ?? 1e13) * 1000} GROUP BY 1`,
        );
        const text = (numbers: readonly (readonly unknown[])[]): string =>
          numbers.map(String).sort().join(" ");
        assert.equal(
          text(
            history.count(by, { sinceMs, untilMs, host: "here" }).map(({ count, failed }) => [count, failed]),
          ),
          text(rows.map(([, count, failed]) => [count, failed])),
          `${by} ${since} ${until}`,
        );
      }
    }
  };
  writer.write(rows, [], BEGIN_US);
  check();
  // Some are other programs now, and some end.
  for (const row of rows.filter(({ id }) => id % 9 === 0)) {
    row.process = { ...row.process!, comm: "other", uid: 7 };
    row.stored = "changed";
    row.status = 9;
  }
  for (const row of rows) {
    row.endNs ??= row.startNs + 2_000_000_000n;
    row.ended = ENDED.EXIT;
    row.status ??= row.id % 5 === 0 ? 256 : 0;
  }
  writer.write(rows, [], BEGIN_US);
  check();
  while (writer.tidy(BEGIN_US + (2.5 * HOUR + 1000) * SECOND_US));
  assert(history.count("user").reduce((sum, { count }) => sum + count, 0) < 2000);
  check();
  while (writer.tidy(BEGIN_US + 10 * HOUR * SECOND_US));
  assert.deepEqual(history.sql("SELECT * FROM tally").rows, []);
});

test("the usual questions are answered by an index", (t) => {
  const path = night(t);
  using history = openHistory(path);
  using database = new DatabaseSync(path, { readOnly: true });
  const planOf = ({ text, values }: { text: string; values: readonly (string | number)[] }): string =>
    database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...values).map(({ detail }) => String(detail)).join(
      "\n",
    );
  const plans: readonly (readonly [HistoryQuery, RegExp])[] = [
    [{ sinceMs: ms(0), untilMs: ms(9) }, /image_start \(start_us>\? AND start_us<\?\)/],
    [{ limit: 100 }, /image_start \(start_us>\? AND start_us<\?\)/],
    [{ failed: true, sinceMs: ms(0) }, /image_failed \(start_us>\? AND start_us<\?\)/],
    [{ failed: true, users: [0], limit: 100 }, /image_failed \(start_us>/],
    [
      { names: ["rsync"], limit: 100 },
      /image_comm \(comm=\? AND start_us>[^]*image_exe \(exe=\? AND start_us>/,
    ],
    [{ exes: ["/usr/bin/rsync"], sinceMs: ms(0) }, /image_exe \(exe=\? AND start_us>/],
    [{ users: ["www-data"], limit: 100 }, /image_uid \(uid=\? AND start_us>/],
    [{ pids: [1004] }, /image_pid \(pid=\? AND start_us>/],
    [{ under: "cron" }, /image_parent \(parent=\?\)/],
    [{ orderBy: "duration", limit: 10 }, /image_long \(duration_us>/],
    [{ orderBy: "cpu", limit: 10 }, /image_cpu \(cpu_us>/],
  ];
  for (const [query, index] of plans) {
    const plan = planOf(selectIds(database, query));
    assert.match(plan, index, JSON.stringify(query));
    assert.doesNotMatch(plan, /SCAN image/, JSON.stringify(query));
  }
  for (const by of ["comm", "uid", "parent_comm", "cgroup"]) {
    const [all, ...edges] = selectCounts(database, by, {}).map(planOf);
    assert.match(all!, /^SEARCH tally USING PRIMARY KEY \(dimension=\? AND hour>\? AND hour<\?\)/);
    for (const edge of edges) assert.match(edge, /image_start \(start_us>\? AND start_us<\?\)/);
  }
  assert.equal(history.query({ names: ["rsync"] }).length, 1);
});

test("gaps are those of losses and of the time without a recorder, also after a new start", (t) => {
  const lost: ImageGap = { fromNs: 5_000_000_000n, toNs: 6_000_000_000n, lost: 7, reason: "lost" };
  const path = night(t, [lost]);
  writerOf(path, {}, BEGIN_US + 700 * SECOND_US)[Symbol.dispose]();
  const machine = {
    machineId: "machine",
    name: "here",
    bootId: "next",
    kernel: "6",
    bootedUs: BEGIN_US + 800 * SECOND_US,
  };
  writerOf(path, { machine }, BEGIN_US + 900 * SECOND_US)[Symbol.dispose]();
  using history = openHistory(path);
  assert.deepEqual(history.gaps(), [
    { host: "here", fromMs: ms(5), toMs: ms(6), lost: 7, reason: "lost" },
    { host: "here", fromMs: ms(600), toMs: ms(700), lost: undefined, reason: "off" },
    { host: "here", fromMs: ms(700), toMs: ms(900), lost: undefined, reason: "down" },
  ]);
  assert.equal(history.gaps({ sinceMs: ms(650), untilMs: ms(690) }).length, 1);
  // Whatever ran has ended with the machine, at its next start at the latest.
  const [init] = history.query({ names: ["init"] });
  assert.deepEqual([init!.ended, init!.endMs, init!.durationMs], ["unknown", ms(800), undefined]);
});

test("the next run of a boot gets what has no end", (t) => {
  const path = night(t);
  using writer = writerOf(path);
  assert.deepEqual(
    writer.open.map(({ id, pid, startTicks, startNs, comm, exe }) => ({
      id,
      pid,
      startTicks,
      startNs,
      comm,
      exe,
    })),
    [
      { id: 1, pid: 1001, startTicks: 0, startNs: 0n, comm: "init", exe: "/usr/bin/init" },
      { id: 2, pid: 1002, startTicks: 100, startNs: 1_000_000_000n, comm: "cron", exe: "/usr/bin/cron" },
    ],
  );
  assert.equal(writer.nextId, 8);
});

test("a second recorder is refused while the first lives, and not after", (t) => {
  const path = join(testFolder(t), "history.db");
  using _first = writerOf(path, { recorder: { pid: 42, startTicks: 7 } });
  const alive = (pid: number): number | undefined => pid === 42 ? 7 : undefined;
  assert.throws(() => writerOf(path, { startTicksOf: alive }), {
    name: "HistoryError",
    message: `Cannot record into ${path}: process 42 already does; stop it first`,
  });
  // Another process has its pid now.
  writerOf(path, { startTicksOf: () => 8 })[Symbol.dispose]();
});

test("hostile names and bytes come back as they were, and reach neither SQL nor terminal", async (t) => {
  const path = join(testFolder(t), "history.db");
  const comms = [
    "'; DROP TABLE image; --",
    "\udcff\udcfe",
    "\x1b[31mred\n",
    "\u202egnp",
    "%_*?",
    "",
    undefined,
  ];
  {
    using writer = writerOf(path);
    const rows = comms.map((comm, i) =>
      image(i + 1, {
        comm,
        at: i,
        lasts: 1,
        info: { exe: undefined, commandLine: [comm ?? "", "\udc80\0\x1b]0;x\x07"] },
      })
    );
    writer.write(rows, [], BEGIN_US);
  }
  {
    using history = openHistory(path);
    assert.deepEqual(history.query().map(({ comm }) => comm), comms);
    assert.deepEqual(history.query()[1]!.commandLine, ["\udcff\udcfe", "\udc80\0\x1b]0;x\x07"]);
    for (const comm of comms.slice(0, 3)) {
      assert.equal(history.query({ names: [comm!] }).length, 1, String(comm));
    }
    assert.deepEqual(history.count("program").map(({ name }) => name).sort(), [...comms].sort());
  }
  for (
    const args of [[], ["--tree"], ["--count-by", "program"], ["--sql", "SELECT * FROM process"], ["--json"]]
  ) {
    const run = cnctl(["history", "--db", path, ...args]);
    assert.equal(await run.ended, 0, run.said.error);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(run.said.out, /[\x00-\x09\x0b-\x1f\x7f\u202e]/, args.join(" "));
    assert(run.said.out.split("\n").length >= comms.length);
  }
});

test("rotation removes the oldest that have ended, and the file becomes smaller", (t) => {
  const path = join(testFolder(t), "history.db");
  const writer = writerOf(path);
  const commandLine = ["x".repeat(2000)];
  const rows = Array.from(
    { length: 5000 },
    (_, i) =>
      image(i + 1, { comm: `c${i % 10}`, at: i, lasts: i === 0 ? undefined : 1, info: { commandLine } }),
  );
  writer.write(rows, [], BEGIN_US);
  const before = statSync(`${path}-wal`).size;
  assert(before > 10_000_000);
  const nowUs = BEGIN_US + 5000 * SECOND_US;
  while (writer.tidy(nowUs));
  using history = openHistory(path);
  const left = history.query();
  assert.deepEqual([left.length, left[0]!.id, left[1]!.id], [1001, 1, 4001]);
  const pages = (): number => Number(history.sql("PRAGMA page_count").rows[0]![0]);
  const manyPages = pages();
  writer[Symbol.dispose]();
  using smaller = writerOf(path, {}, nowUs, { keepUs: 1000 * SECOND_US, maxBytes: 1 << 20 });
  while (smaller.tidy(nowUs));
  for (let i = 0; i < 5; i++) smaller.tidy(nowUs);
  assert(pages() < manyPages);
  assert(pages() * 4096 <= 1 << 20, String(pages() * 4096));
  assert.equal(history.image(1)?.ended, "running");
});

test("SQL reads and changes nothing; several statements and wrong ones are refused", (t) => {
  const path = night(t);
  using history = openHistory(path);
  const table = history.sql("SELECT comm, exit_code, started IS NOT NULL FROM process WHERE exit_code > 0");
  assert.deepEqual(table, {
    columns: ["comm", "exit_code", "started IS NOT NULL"],
    rows: [["rsync", 12n, 1n]],
  });
  for (
    const [statement, message] of [
      ["DELETE FROM image", /it may only be read/],
      ["PRAGMA user_version = 9; SELECT 1", /may only be read/],
      ["SELECT 1; DROP TABLE image", /more than one SQL statement/],
      ["SELECT nowhere FROM image", /no such column: nowhere/],
      ["", /there is no SQL statement/],
      [" -- nothing\n /* at all */;", /there is no SQL statement/],
      ["SELECT load_extension('x')", /not authorized/],
    ] as const
  ) {
    assert.throws(
      () => history.sql(statement),
      (error: Error) => error.name === "TypeError" && message.test(error.message),
      statement,
    );
  }
  assert.equal(history.query().length, 7);
});

test("what is no database of history, or cannot be opened, is refused with a sentence", async (t) => {
  const folder = testFolder(t);
  const at = (name: string): string => join(folder, name);
  writeFileSync(at("text"), "hello ".repeat(1000));
  using other = new DatabaseSync(at("other.db"));
  other.exec("CREATE TABLE t(x)");
  const path = night(t);
  const later = at("later.db");
  copyFileSync(path, later);
  using changed = new DatabaseSync(later);
  changed.exec("PRAGMA user_version = 3");
  mkdirSync(at("folder"));
  assert.equal(spawnSync("mkfifo", [at("pipe")]).status, 0);
  symlinkSync("loop", at("loop"));
  const damaged = readFileSync(path);
  damaged.fill(0xff, 4096);
  writeFileSync(at("damaged.db"), damaged);
  for (
    const [name, message] of [
      ["none", /there is no such file; cnctl record makes it/],
      ["text", /it is no SQLite database/],
      ["other.db", /it is a database, but not one of cnctl record/],
      ["later.db", /it is of version 3, and this program knows 2: update it/],
      ["folder", /it is a folder/],
      ["pipe", /it is no regular file/],
      ["loop", /it cannot be opened: check that the folder exists/],
      ["damaged.db", /it is damaged: sqlite3 FILE \.recover may save what is in it/],
    ] as const
  ) {
    assert.throws(
      () => {
        using history = openHistory(at(name));
        history.query();
      },
      (error: Error) => error.name === "HistoryError" && message.test(error.message),
      name,
    );
    if (name === "none") continue;
    await assert.rejects(
      recordHistory(at(name)),
      (error: Error) => error.name === "HistoryError" && message.test(error.message),
    );
  }
  await assert.rejects(
    recordHistory(at("no/such/folder.db")),
    /it cannot be opened: check that the folder exists/,
  );
  await assert.rejects(recordHistory(at("x"), { maxBytes: 1 }), RangeError);
  await assert.rejects(recordHistory(at("x"), { keepDays: 0 }), RangeError);
  assert.throws(() => openHistory(""), TypeError);
  assert.equal(readFileSync(at("text"), "utf8").slice(0, 5), "hello");
});

test("a database that another program has locked is said to be, for reading and recording", async (t) => {
  const path = night(t);
  using other = new DatabaseSync(path);
  other.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  const runs = [cnctl(["history", "--db", path]), cnctl(["record", "--db", path])];
  for (const [i, action] of [`read the history in ${path}`, `record into ${path}`].entries()) {
    assert.equal(await runs[i]!.ended, 1);
    assert.equal(runs[i]!.said.error, `cnctl: Cannot ${action}: another program has locked it\n`);
  }
});

test("a copy in a folder that must not be written can be read", (t) => {
  const folder = testFolder(t);
  const path = join(folder, "a ?#% copy.db");
  copyFileSync(night(t), path);
  chmodSync(path, 0o444);
  chmodSync(folder, 0o555);
  try {
    using history = openHistory(path);
    assert.equal(history.query().length, 7);
  } finally {
    chmodSync(folder, 0o755);
  }
});

test("a log that was cut at any place, as by a power cut, leaves whole transactions", (t) => {
  const folder = testFolder(t);
  const path = join(folder, "history.db");
  using writer = writerOf(path);
  for (let i = 0; i < 20; i++) {
    const rows = [0, 1, 2].map((j) => image(3 * i + j + 1, { comm: `c${i}`, at: i, lasts: 1 }));
    writer.write(rows, [], BEGIN_US + i * SECOND_US);
  }
  const log = readFileSync(`${path}-wal`);
  for (let i = 0; i <= 20; i++) {
    const copy = join(folder, `copy-${i}.db`);
    copyFileSync(path, copy);
    writeFileSync(`${copy}-wal`, log.subarray(0, Math.floor(log.length * (1 - i / 40 - (i % 3) / 1000))));
    using history = openHistory(copy);
    const rows = history.query();
    assert.equal(rows.length % 3, 0);
    assert.equal(history.recordedMs(), rows.length === 0 ? ms(0) : rows.at(-1)!.startMs);
  }
});
