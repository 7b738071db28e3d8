import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { root } from "./runtimes.ts";

/** Whether this runs in a virtual machine of tests/vm, where a processor is emulated and slow. */
export const inVirtualMachine: boolean = process.env.KERNEL_CONNECTOR_VM !== undefined;

/** What a storm says of itself at its end. */
export interface StormReport {
  readonly kind: string;
  readonly pid: number;
  readonly count: number;
}

/** Compiles the benchmark's load generator once; answers its path, or why there is none. */
export function buildStorm(): { path: string } | { missing: string } {
  const source = join(root, "bench/c/storm.c");
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), "kernel-connector-tests");
  const path = join(folder, `storm-${hash}`);
  if (existsSync(path)) return { path };
  mkdirSync(folder, { recursive: true });
  const partial = `${path}.${process.pid}`;
  const { status, error, stderr } = spawnSync("gcc", ["-O2", "-pthread", "-o", partial, source]);
  if (status !== 0) {
    return { missing: `the storm cannot be built (Debian: gcc, libc6-dev): ${error ?? stderr}` };
  }
  renameSync(partial, path);
  return { path };
}

/** Starts a storm. */
export function startStorm(
  path: string,
  ...args: string[]
): { child: ChildProcess; report: Promise<StormReport> } {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => text += chunk);
  const report = new Promise<StormReport>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => {
      if (status === 0) resolve(JSON.parse(text));
      else reject(new Error(`the storm ended with ${status}: ${text}`));
    });
  });
  return { child, report };
}
