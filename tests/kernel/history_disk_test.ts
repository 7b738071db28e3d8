import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { type HistoryGap, type HistoryImage, openHistory, recordHistory } from "../../lib/history/mod.ts";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();
const FULL = "the disk is full; processes wait in memory";

/** How often a text was said. */
function count(run: Run, text: string): number {
  return run.said.error.split(text).length - 1;
}

async function record(db: string): Promise<Run> {
  const run = cnctl(["record", "--db", db]);
  const failed = run.ended.then((status) =>
    assert.fail(`the recorder has ended with ${status}: ${run.said.error}`)
  );
  const begun = eventually("the recorder", () => count(run, "Recording into") === 1, LIMIT_MS);
  failed.catch(() => {}); // it ends later, too
  await Promise.race([begun, failed]);
  return run;
}

/** Leaves no room on a file system. */
function fill(folder: string): void {
  const { bavail, bsize } = statfsSync(folder);
  try {
    if (bavail > 0) writeFileSync(join(folder, "filler"), new Uint8Array(bavail * bsize), { flag: "a" });
  } catch {
    // it is as full as it gets
  }
}

/** A small file system of its own; undefined if none can be mounted here. */
function smallFileSystem(t: TestContext): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "kernel-connector-test-"));
  t.after(() => {
    spawnSync("umount", ["-l", folder], { stdio: "ignore" });
    rmSync(folder, { recursive: true, force: true });
  });
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", folder]);
  return status === 0 ? folder : undefined;
}

test(
  "while the disk is full programs wait in memory; what is never written lies in a gap",
  { skip },
  async (t) => {
    const folder = smallFileSystem(t);
    if (folder === undefined) return t.skip("a file system cannot be mounted here");
    const db = join(folder, "history.db");
    const marker = `marker-${process.pid}-${Math.floor(performance.now())}-`;
    /** When each was run. */
    const times: number[] = [];
    const run = (): void => {
      spawnSync("/bin/sh", ["-c", ":", `${marker}${times.length}`]);
      times.push(Date.now());
    };
    /** Fills the disk, and runs programs until the recorder has noticed. */
    const fillUntilNoticed = async (recorder: Run, noticed: number): Promise<void> => {
      const endMs = performance.now() + LIMIT_MS;
      while (count(recorder, FULL) < noticed) {
        assert(performance.now() < endMs, `the disk is not full: ${recorder.said.error}`);
        fill(folder);
        run();
        await sleep(50);
      }
      run();
    };
    const rowsOf = (index: number): HistoryImage[] => {
      using history = openHistory(db);
      return history.query({ sinceMs: times[index]! - 60_000 })
        .filter(({ commandLine }) => commandLine?.at(-1) === `${marker}${index}`);
    };

    const recorder = await record(db);
    await fillUntilNoticed(recorder, 1);
    const before = times.length;
    rmSync(join(folder, "filler"));
    await eventually("room", () => count(recorder, "The database can be written again") === 1, LIMIT_MS);
    const gapsOf = (): readonly HistoryGap[] => {
      using history = openHistory(db);
      return history.gaps();
    };
    const isLost = (): boolean => gapsOf().some(({ reason }) => reason === "lost");
    for (let i = 0; i < before; i++) {
      const own = rowsOf(i);
      assert(own.length === 1 || (own.length === 0 && isLost()), `${i} of ${before}: ${own.length}`);
    }
    assert.deepEqual(gapsOf().filter(({ reason }) => reason !== "lost"), []);
    assert.equal(count(recorder, FULL), 1);

    // Whoever ends the recorder now loses what waits.
    await fillUntilNoticed(recorder, 2);
    process.kill(recorder.child.pid!, "SIGKILL");
    await recorder.ended;
    rmSync(join(folder, "filler"));
    const next = await record(db);
    end(next, "SIGINT");
    assert.equal(await next.ended, 0, next.said.error);
    const [gap] = gapsOf().filter(({ reason }) => reason === "off");
    assert(gap !== undefined);
    for (let i = before; i < times.length; i++) {
      const own = rowsOf(i);
      assert(own.length <= 1, `${i}: ${own.length}`);
      if (own[0]?.ended === "exit" || isLost()) continue;
      assert(
        gap.fromMs <= times[i]! + 1 && gap.toMs >= times[i]!,
        `${i} at ${times[i]}: ${JSON.stringify(gap)}`,
      );
    }
  },
);

test("a database that must not be written is read, and refused for recording", { skip }, async (t) => {
  const folder = smallFileSystem(t);
  if (folder === undefined) return t.skip("a file system cannot be mounted here");
  const db = join(folder, "history.db");
  const recorder = await record(db);
  end(recorder, "SIGINT");
  assert.equal(await recorder.ended, 0, recorder.said.error);
  assert.equal(spawnSync("mount", ["-o", "remount,ro", folder]).status, 0);
  using history = openHistory(db);
  assert(history.query({ limit: 1 }).length === 1);
  for (const path of [db, join(folder, "new.db")]) {
    const refused = cnctl(["record", "--db", path]);
    assert.equal(await refused.ended, 1);
    assert.equal(
      refused.said.error,
      `cnctl: Cannot record into ${path}: it must not be written: check its permissions and those of its folder\n`,
    );
  }
});

test("what onTrouble throws goes to standard error, and recording goes on", { skip }, async (t) => {
  const folder = smallFileSystem(t);
  if (folder === undefined) return t.skip("a file system cannot be mounted here");
  const said: unknown[] = [];
  t.mock.method(console, "error", (...words: unknown[]) => void said.push(words.map(String).join(" ")));
  const troubles: (string | undefined)[] = [];
  const recorder = await recordHistory(join(folder, "history.db"), {
    onTrouble(error) {
      troubles.push(error?.message);
      throw new Error("broken");
    },
  });
  const makeProcesses = (wanted: number) => (): boolean => {
    if (wanted === 1) fill(folder);
    spawnSync("/bin/true");
    return troubles.length >= wanted;
  };
  await eventually("trouble", makeProcesses(1), LIMIT_MS);
  rmSync(join(folder, "filler"));
  await eventually("room", makeProcesses(2), LIMIT_MS);
  await recorder.close();
  assert.match(troubles[0]!, /the disk is full$/);
  assert.deepEqual(troubles.slice(1), [undefined]);
  assert.deepEqual(said, Array(2).fill("kernel-connector: onTrouble failed: Error: broken"));
});
