import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { type HistoryImage, openHistory } from "../../lib/history/mod.ts";
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
  await eventually("the recorder", () => count(run, "Recording into") === 1, LIMIT_MS);
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

test(
  "while the disk is full programs wait in memory; what is never written lies in a gap",
  { skip },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "kernel-connector-test-"));
    t.after(() => {
      spawnSync("umount", ["-l", folder], { stdio: "ignore" });
      rmSync(folder, { recursive: true, force: true });
    });
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", folder]).status !== 0) {
      return t.skip("a file system cannot be mounted here");
    }
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
    using history = openHistory(db);
    const isLost = (): boolean => history.gaps().some(({ reason }) => reason === "lost");
    for (let i = 0; i < before; i++) {
      const own = rowsOf(i);
      assert(own.length === 1 || (own.length === 0 && isLost()), `${i} of ${before}: ${own.length}`);
    }
    assert.deepEqual(history.gaps().filter(({ reason }) => reason !== "lost"), []);
    assert.equal(count(recorder, FULL), 1);

    // Whoever ends the recorder now loses what waits.
    await fillUntilNoticed(recorder, 2);
    process.kill(recorder.child.pid!, "SIGKILL");
    await recorder.ended;
    rmSync(join(folder, "filler"));
    const next = await record(db);
    end(next, "SIGINT");
    assert.equal(await next.ended, 0, next.said.error);
    const [gap] = history.gaps().filter(({ reason }) => reason === "off");
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
