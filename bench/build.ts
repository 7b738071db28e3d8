import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

/** The C programs of the benchmark, built. */
export interface Programs {
  readonly storm: string;
  readonly receiver: string;
  readonly live: string;
}

const FLAGS = ["-O2", "-Wall", "-Wextra", "-pthread"];

/** The folder of built programs and outputs, outside the repository. Another user can read it, and run what is in it. */
export function cacheFolder(): string {
  const folder = join(tmpdir(), `kernel-connector-bench-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  return folder;
}

/**
 * Builds the C programs that have changed.
 *
 * @throws {Error} Naming the Debian packages that are missing.
 */
export function buildPrograms(): Programs {
  return { storm: build("storm"), receiver: build("receiver"), live: build("live") };
}

function build(name: string): string {
  const source = join(import.meta.dirname!, "c", `${name}.c`);
  const hash = createHash("sha256").update(FLAGS.join(" ")).update(readFileSync(source)).digest("hex");
  const program = join(cacheFolder(), `${name}-${hash.slice(0, 12)}`);
  if (existsSync(program)) return program;

  const unfinished = `${program}.${process.pid}`;
  const { error, status, stderr } = spawnSync("gcc", [...FLAGS, "-o", unfinished, source], {
    encoding: "utf8",
  });
  if (error !== undefined) {
    throw new Error("Cannot build the C references: gcc is missing (Debian: apt-get install gcc libc6-dev)");
  }
  if (status !== 0) {
    const hint = /No such file/.test(stderr) ? " (Debian: apt-get install libc6-dev linux-libc-dev)" : "";
    throw new Error(`Cannot build ${name}.c${hint}:\n${stderr}`);
  }
  renameSync(unfinished, program); // atomic, also when two benchmarks build at once
  return program;
}
