import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { type HistoryImage, openHistory, recordHistory } from "../../lib/history/mod.ts";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { testFolder } from "../support/folder.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();
/** More for a soak. */
const KILLS = Number(process.env.HISTORY_KILLS ?? 3);

/** Starts a recorder, and returns when it records. */
async function record(db: string): Promise<Run> {
  const run = cnctl(["record", "--db", db]);
  await eventually("the recorder", () => run.said.error.includes("Recording into"), LIMIT_MS);
  return run;
}

/** A process that ran. Its command line does not identify it: a storm of other programs' may displace it. */
interface Ran {
  readonly pid: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Runs a command whose arguments nobody else has. */
function runMarked(marker: string, script: string): Ran {
  const fromMs = Date.now();
  const { pid } = spawnSync("/bin/sh", ["-c", script, marker], { cwd: "/tmp" });
  return { pid, fromMs, toMs: Date.now() };
}

/** Its rows. Two clocks may differ by milliseconds; no number is used again so soon. */
function rowsOf(images: readonly HistoryImage[], { pid, fromMs, toMs }: Ran): HistoryImage[] {
  return images.filter((row) => row.pid === pid && row.startMs > fromMs - 20 && row.startMs < toMs + 20);
}

function readRows(db: string, ran: Ran): HistoryImage[] {
  using history = openHistory(db);
  return rowsOf([...history.query({ pids: [ran.pid] })], ran);
}

/**
 * Runs a command until one is recorded with its command line: on a busy machine its events may be lost, which a gap
 * says, or its arguments displaced by others'.
 */
async function recorded(db: string, name: string, script: string): Promise<HistoryImage> {
  const endMs = performance.now() + LIMIT_MS;
  for (let i = 0; performance.now() < endMs; i++) {
    const marker = `${name}-${i}`;
    const ran = runMarked(marker, script);
    const lost = (): boolean => {
      using history = openHistory(db);
      return history.gaps({ sinceMs: ran.fromMs }).some(({ reason }) => reason === "lost");
    };
    const own = (): HistoryImage | undefined => readRows(db, ran).find(({ ended }) => ended === "exit");
    await eventually(`the row of ${marker}`, () => own() !== undefined || lost(), LIMIT_MS);
    const row = own();
    if (row?.commandLine === undefined) continue;
    assert.equal(readRows(db, ran).length, 1);
    return row;
  }
  throw new Error(`${name} was lost again and again`);
}

test(
  "cnctl record writes what happened; cnctl history shows it meanwhile and afterwards",
  { skip },
  async (t) => {
    const db = join(testFolder(t), "history.db");
    const recorder = await record(db);
    assert.equal(statSync(db).mode & 0o777, 0o640);
    const sleeper = spawn("/bin/sleep", ["300"]);
    t.after(() => void sleeper.kill("SIGKILL"));
    const marker = `marker-${process.pid}-${Math.floor(performance.now())}`;
    const row = await recorded(db, marker, `/bin/true; exit 3`);
    const own = row.commandLine!.at(-1)!;
    assert.deepEqual(row.commandLine, ["/bin/sh", "-c", "/bin/true; exit 3", own]);
    assert.deepEqual([row.exitCode, row.signal, row.parentPid, row.existed], [
      3,
      undefined,
      process.pid,
      false,
    ]);
    assert.equal(row.uid, process.getuid!());
    assert(row.cwd === "/tmp" || row.cwd === undefined, String(row.cwd)); // it may end before that can be read
    assert(row.durationMs! > 0 && row.endMs! > row.startMs);
    const killed = await recorded(db, `${marker}-killed`, `kill -KILL $$`);
    assert.deepEqual([killed.exitCode, killed.signal], [undefined, "SIGKILL"]);

    // While it runs, and as a table.
    const shown = cnctl(["history", "--db", db, "--failed", "--name", "sh", "--since", "10m"]);
    assert.equal(await shown.ended, 0, shown.said.error);
    assert.match(
      shown.said.out,
      new RegExp(` 3 +\\d+ \\S+ +.* > /bin/sh -c '/bin/true; exit 3' ${own}$`, "m"),
    );
    assert.match(shown.said.out, new RegExp(`SIGKILL +\\d+ .* ${marker}-killed-\\d+$`, "m"));
    const below = cnctl(["history", "--db", db, "--under", String(row.pid), "--json"]);
    assert.equal(await below.ended, 0, below.said.error);
    const programs = below.said.out.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert(
      programs.some(({ type }) => type === "gap") ||
        programs.some(({ comm, parentPid }) => comm === "true" && parentPid === row.pid),
      below.said.out,
    );

    const second = cnctl(["record", "--db", db]);
    assert.equal(await second.ended, 1);
    assert.match(
      second.said.error,
      new RegExp(`^cnctl: Cannot record into .*: process ${recorder.child.pid} already does`),
    );
    end(recorder, "SIGINT");
    assert.equal(await recorder.ended, 0, recorder.said.error);
    using history = openHistory(db);
    const [running] = history.query({ pids: [sleeper.pid!] });
    assert(running?.ended === "running" || history.gaps().length > 0);
    assert.deepEqual(history.gaps().filter(({ reason }) => reason !== "lost"), []);
  },
);

test("a signal that is aborted while a recorder opens is not missed", { skip }, async (t) => {
  const abort = new AbortController();
  const opening = recordHistory(join(testFolder(t), "history.db"), { signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(opening.then((recorder) => recorder.close()), /^Error: enough$/);
});

test("after SIGKILL nothing is there twice, and what is missing lies in a gap", { skip }, async (t) => {
  const db = join(testFolder(t), "history.db");
  const marker = `marker-${process.pid}-${Math.floor(performance.now())}-`;
  const known: Ran[] = [];
  const run = (): void => void known.push(runMarked(`${marker}${known.length}`, ":"));
  const sleeperMs = Date.now();
  const sleeper = spawn("/bin/sh", ["-c", "read x", `${marker}sleeper`], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  t.after(() => void sleeper.kill("SIGKILL"));
  const killedMs: number[] = [];
  for (let i = 0; i < KILLS; i++) {
    const recorder = await record(db);
    const until = performance.now() + Math.random() * 1500;
    do {
      run();
      await sleep(10 * Math.random());
    } while (performance.now() < until);
    killedMs.push(Date.now());
    process.kill(recorder.child.pid!, "SIGKILL");
    await recorder.ended;
    run();
  }
  const last = await record(db);
  run();
  sleeper.stdin!.end();
  await new Promise((resolve) => sleeper.once("exit", resolve));
  end(last, "SIGTERM");
  assert.equal(await last.ended, 0, last.said.error);

  using history = openHistory(db);
  const gaps = history.gaps();
  assert.equal(gaps.filter(({ reason }) => reason === "off").length, KILLS, JSON.stringify(gaps));
  const rows = history.query();
  let missing = 0;
  for (const ran of known) {
    const { pid, fromMs, toMs } = ran;
    const own = rowsOf(rows, ran);
    assert(own.length <= 1, `${pid}: ${JSON.stringify(own)}`);
    if (own[0]?.ended === "exit") continue;
    missing++;
    // Both clocks are the same; the gap has the program, or the rest of it.
    assert(
      gaps.some((gap) => gap.fromMs <= toMs + 1 && gap.toMs >= fromMs - 1),
      `${pid}: ${fromMs} to ${toMs}`,
    );
  }
  const unwritten = gaps.filter(({ reason }) => reason === "off").map(({ fromMs }, i) =>
    killedMs[i]! - fromMs
  );
  t.diagnostic?.(
    `${known.length} processes, of which ${missing} lie in gaps; ` +
      `before a SIGKILL, up to ${Math.max(...unwritten).toFixed(0)} ms were not written`,
  );
  // One that outlives them all is one row, from the first run to the last.
  // It was found in /proc, which gives its start to 10 ms only.
  const sleepers = rows.filter(({ pid, startMs }) =>
    pid === sleeper.pid && Math.abs(startMs - sleeperMs) < 1000
  );
  assert.equal(sleepers.length, 1);
  const [own] = sleepers;
  if (gaps.every(({ reason }) => reason === "off")) {
    assert.deepEqual([own!.ended, own!.exitCode, own!.existed], ["exit", 1, true]);
  }
});
