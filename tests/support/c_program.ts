import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { tmpdir } from "node:os";
import process from "node:process";
import { root } from "./runtimes.ts";

/** Compiles a C program of the repository once; returns its path, or why it could not be built. */
export function buildC(file: string): { path: string } | { missing: string } {
  const source = join(root, file);
  const hash = createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 16);
  const folder = join(tmpdir(), "kernel-connector-tests");
  const path = join(folder, `${basename(file, ".c")}-${hash}`);
  if (existsSync(path)) return { path };
  mkdirSync(folder, { recursive: true });
  const partial = `${path}.${process.pid}`;
  const { status, error, stderr } = spawnSync("gcc", ["-O2", "-Wall", "-pthread", "-o", partial, source]);
  if (status !== 0) {
    return { missing: `${file} cannot be built (Debian: gcc, libc6-dev): ${error ?? stderr}` };
  }
  renameSync(partial, path);
  return { path };
}
