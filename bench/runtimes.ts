import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../tests/support/programs.ts";

export type RuntimeName = "bun" | "deno" | "node";

/** A JavaScript runtime that can run the contenders. */
export interface Runtime {
  readonly name: RuntimeName;
  readonly version: string;
  /** The command that runs a program, before the program's path. */
  readonly command: readonly string[];
}

const REPOSITORY = join(import.meta.dirname!, "..");

/** Options before the program's path. */
const ARGUMENTS: { readonly [name in RuntimeName]: readonly string[] } = {
  bun: ["run"],
  deno: ["run", "--quiet", "-A"],
  node: ["--disable-warning=ExperimentalWarning"],
};

export function findRuntimes(): readonly Runtime[] {
  const found: Runtime[] = [];
  for (const name of ["bun", "deno", "node"] as const) {
    const program = nodeModulesProgram(name) ?? findProgram(name);
    if (program === undefined) continue;
    const text = spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "";
    const version = /\d+\.\d+\.\d+/.exec(text)?.[0];
    if (version === undefined) continue;
    if (name === "node" && Number.parseInt(version) < 26) continue; // no node:ffi
    found.push({ name, version, command: [program, ...ARGUMENTS[name]] });
  }
  return found;
}

/** The tested version from node_modules: the executable, not a script that starts it, so that its usage is measured. */
function nodeModulesProgram(name: RuntimeName): string | undefined {
  const places = { bun: "bun/bin/bun.exe", deno: "deno/deno", node: "node/bin/node" };
  const path = join(REPOSITORY, "node_modules", places[name]);
  return existsSync(path) ? path : undefined;
}
