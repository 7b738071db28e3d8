import { type ChildProcess, spawn } from "node:child_process";
import { buildC } from "./c_program.ts";

/** What a storm says of itself at its end. */
export interface StormReport {
  readonly kind: string;
  readonly pid: number;
  readonly count: number;
}

/** Compiles the benchmark's load generator once; answers its path, or why there is none. */
export function buildStorm(): { path: string } | { missing: string } {
  return buildC("bench/c/storm.c");
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
