import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { tmpdir } from "node:os";
import process from "node:process";
import { inVirtualMachine, root } from "./runtimes.ts";

/** Static: some of these programs are run where the host's libraries are not. */
export const C_FLAGS: readonly string[] = ["-O2", "-Wall", "-pthread", "-static"];

/** Where a virtual machine has the programs that were compiled on its host. */
const GUEST_PROGRAMS = "/run/tools";

/** Compiles a C program of the repository once; returns its path, or why it could not be built. */
export function buildC(file: string): { path: string } | { missing: string } {
  const name = basename(file, ".c");
  if (inVirtualMachine) return { path: join(GUEST_PROGRAMS, name) };
  const source = join(root, file);
  const hash = createHash("sha256").update(C_FLAGS.join()).update(readFileSync(source)).digest("hex");
  const folder = join(tmpdir(), "kernel-connector-tests");
  const path = join(folder, `${name}-${hash.slice(0, 16)}`);
  if (existsSync(path)) return { path };
  mkdirSync(folder, { recursive: true });
  const partial = `${path}.${process.pid}`;
  const { status, error, stderr } = spawnSync("gcc", [...C_FLAGS, "-o", partial, source]);
  if (status !== 0) {
    return { missing: `${file} cannot be built (Debian: gcc, libc6-dev): ${error ?? stderr}` };
  }
  renameSync(partial, path);
  return { path };
}
