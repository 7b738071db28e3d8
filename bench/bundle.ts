import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { cacheFolder } from "./build.ts";

/** Puts a program of contenders/ and all it imports into one file of JavaScript, as packages and binaries hold it. */
export function bundle(program: string): string {
  const source = join(import.meta.dirname!, "contenders", `${program}.ts`);
  const path = join(cacheFolder(), `${program}.mjs`);
  const options = ["build", source, "--target=node", "--format=esm", `--outfile=${path}`];
  const { status, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot bundle ${program}.ts:\n${stderr}`);
  return path;
}
