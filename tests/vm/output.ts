// The folder of one run: a folder for each boot with the guest's console, logs and reports.

import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "./cache.ts";

const KEPT_RUNS = 10;
const HOUR_MS = 3_600_000;

/** Makes a folder for this run; of the older ones, the last few stay. */
export function makeOutputFolder(): string {
  const runs = join(cacheFolder(), "runs");
  mkdirSync(runs, { recursive: true });
  for (const name of readdirSync(runs).sort().reverse().slice(KEPT_RUNS)) {
    const path = join(runs, name);
    // a young one may belong to a run that is still going
    if (Date.now() - statSync(path).mtimeMs > HOUR_MS) rmSync(path, { recursive: true, force: true });
  }
  const stamp = new Date().toISOString().replaceAll(":", "").replace(/\..*/, "");
  const folder = join(runs, `${stamp}-${process.pid}`);
  mkdirSync(folder);
  return folder;
}
