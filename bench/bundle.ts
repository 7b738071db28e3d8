import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { cacheFolder } from "./build.ts";

/** Bundles a program of contenders/ and its imports into one file of JavaScript, as in packages and binaries. */
export function bundle(program: string): string {
  const source = join(import.meta.dirname!, "contenders", `${program}.ts`);
  const path = join(cacheFolder(), `${program}.mjs`);
  const options = ["build", source, "--target=node", "--format=esm", `--outfile=${path}`];
  const { status, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot bundle ${program}.ts:\n${stderr}`);
  return path;
}
