import { spawnSync } from "node:child_process";
import { basename, join } from "node:path";
import { cacheFolder } from "./build.ts";

/** Bundles a program of contenders/ and its imports into one file of JavaScript, as in packages and binaries. */
export function bundle(program: string): string {
  return bundleFile(join(import.meta.dirname!, "contenders", `${program}.ts`));
}

/** Bundles the command, as in the package. */
export function bundleCnctl(): string {
  return bundleFile(join(import.meta.dirname!, "..", "lib", "cli", "main.ts"));
}

function bundleFile(source: string): string {
  const path = join(cacheFolder(), `${basename(source, ".ts")}.mjs`);
  const options = ["build", source, "--target=node", "--format=esm", `--outfile=${path}`];
  const { status, stderr } = spawnSync(process.execPath, options, { encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot bundle ${source}:\n${stderr}`);
  return path;
}
