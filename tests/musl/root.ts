// A Bun on musl without Alpine: musl of Debian, Bun for musl of npm, and the libstdc++ of glibc with a shim.

import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Architecture } from "../vm/architectures.ts";
import { cached } from "../vm/cache.ts";
import { suiteApt, unpack } from "../vm/packages.ts";
import { run } from "../vm/programs.ts";
import { compilerFor } from "../vm/tools.ts";
import { createHash } from "node:crypto";

const SHIM = join(import.meta.dirname!, "shim.c");
const SUITE = "bookworm";

/** A folder with musl's loader as `ld.so`, and beside it all that a program linked with musl and libstdc++ needs. */
function muslLibraries(architecture: Architecture): string {
  const hash = createHash("sha256").update(readFileSync(import.meta.filename!)).update(readFileSync(SHIM))
    .digest("hex").slice(0, 8);
  return cached(`musl/${architecture.name}-${hash}`, (temporary) => {
    const { debian, gnu } = architecture;
    console.log(`fetching musl for ${debian} from ${SUITE}`);
    const work = join(temporary, "work");
    const apt = suiteApt(join(work, "apt"), "main", SUITE, [debian]);
    const root = join(work, "root");
    unpack(apt, ["musl", "libstdc++6", "libgcc-s1"], join(work, "debs"), root);
    copyFileSync(join(root, `lib/${gnu}-linux-musl/libc.so`), join(temporary, "ld.so"));
    copyFileSync(join(root, `usr/lib/${gnu}-linux-gnu/libstdc++.so.6`), join(temporary, "libstdc++.so.6"));
    copyFileSync(join(root, `lib/${gnu}-linux-gnu/libgcc_s.so.1`), join(temporary, "libgcc_real.so.1"));
    const { prefix, flags, env } = compilerFor(architecture);
    const link = (...args: readonly string[]): void => {
      run(`${prefix}gcc`, [...flags, "-O2", "-fPIC", "-shared", "-nostdlib", ...args], { env });
    };
    // Linked with a library of that name, the shim asks for it; the real one has the name of the shim in it.
    const stub = join(work, "libgcc_real.so.1");
    link("-Wl,-soname,libgcc_real.so.1", "-o", stub, "-x", "c", "/dev/null");
    const shim = join(temporary, "libgcc_s.so.1");
    link("-Wl,--no-as-needed", "-o", shim, SHIM, stub);
    // The libstdc++ of x86-64 asks for glibc's loader, too.
    if (architecture.name === "x64") symlinkSync("libgcc_s.so.1", join(temporary, "ld-linux-x86-64.so.2"));
    rmSync(work, { recursive: true });
  });
}

/**
 * Writes a program that is linked with musl as `bin/NAME` into `folder`, where it runs with the libraries there: its
 * loader is named by an absolute path, which must not be longer than the one it came with. `at` is the path that the
 * folder has where the program runs.
 */
export function installMuslProgram(
  program: string,
  name: string,
  folder: string,
  architecture: Architecture,
  at: string = folder,
): string {
  const libraries = muslLibraries(architecture);
  for (const part of ["bin", "etc"]) mkdirSync(join(folder, part), { recursive: true });
  run("cp", ["-r", libraries, join(folder, "lib")]);
  // musl looks for its settings relative to the path of its loader.
  writeFileSync(join(folder, `etc/ld-musl-${architecture.gnu}.path`), `${join(at, "lib")}\n`);
  const bytes = readFileSync(program);
  const old = Buffer.from(`/lib/ld-musl-${architecture.gnu}.so.1\0`);
  const loader = Buffer.alloc(old.length);
  const path = join(at, "lib/ld.so");
  if (path.length >= loader.length) {
    throw new Error(`Cannot use ${at}: a program for musl has no room for its path`);
  }
  loader.write(path);
  const where = bytes.indexOf(old);
  if (where < 0) throw new Error(`Cannot use ${program}: it is not linked with musl`);
  loader.copy(bytes, where);
  const target = join(folder, "bin", name);
  writeFileSync(target, bytes, { mode: 0o755 });
  return target;
}
