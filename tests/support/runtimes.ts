import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The folder of the project. */
export const root: string = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export type Runtime = "bun" | "deno" | "node";

/** The runtime that runs this. */
export const runtime: Runtime = process.versions.bun !== undefined
  ? "bun"
  : (globalThis as { Deno?: unknown }).Deno !== undefined
  ? "deno"
  : "node";

/** Whether this runs in a virtual machine of tests/vm, where a processor is emulated and slow. */
export const inVirtualMachine: boolean = process.env.KERNEL_CONNECTOR_VM !== undefined;

/** The program `name` as the development dependencies bring it; of the runtime that runs this, its own program. */
export function binary(name: "bun" | "deno" | "node" | "tsc" | "esbuild"): string {
  if (name === runtime) return process.execPath;
  // By its path: an older TypeScript, for tests only, brings a program of the same name.
  const path = join(root, "node_modules", ...(name === "tsc" ? ["typescript", "bin", name] : [".bin", name]));
  if (!existsSync(path)) throw new Error(`Cannot find ${name} in node_modules: run npm ci first`);
  return realpathSync(path);
}

/** The command that runs a TypeScript file on a runtime, with all that it may need. */
export function command(name: "bun" | "deno" | "node", file: string): string[] {
  switch (name) {
    case "bun":
      return [binary("bun"), file];
    case "deno":
      return [binary("deno"), "run", "-A", "--no-check", "--node-modules-dir=manual", file];
    case "node":
      return [binary("node"), "--disable-warning=ExperimentalWarning", file];
  }
}
