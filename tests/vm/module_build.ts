// Our own modules, built against a kernel's header packages, and the small programs that the guest needs.
// An entry of the cache is named by a hash of its sources, so a changed source is built anew.

import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { type Architecture, hostArchitecture } from "./architectures.ts";
import { cached } from "./cache.ts";
import type { KernelFiles } from "./kernel_files.ts";
import { C_FLAGS } from "../support/c_program.ts";
import { findProgram } from "../support/programs.ts";
import { root } from "../support/runtimes.ts";
import { run, RunnerError } from "./programs.ts";
import { compilerFor } from "./tools.ts";

const MODULE_SOURCES = join(import.meta.dirname!, "module");
const PROGRAM_SOURCES = ["tests/vm/programs", "tests/kernel/programs", "bench/c"].map((path) =>
  join(root, path)
);

/** The .ko files of our own modules for a kernel whose headers are there. */
export function buildModules(kernel: KernelFiles, headers: string): readonly string[] {
  const folder = cached(`modules/${kernel.release}-${hashOf(MODULE_SOURCES)}`, (temporary) => {
    const build = join(temporary, "build");
    cpSync(MODULE_SOURCES, build, { recursive: true });
    const tree = join(headers, "usr/src", `linux-headers-${kernel.release}`);
    const { prefix, env } = compilerFor(kernel.architecture);
    const own = kernel.architecture === hostArchitecture();
    run("make", [
      "-C",
      tree,
      `M=${build}`,
      ...own ? [] : [`ARCH=${kernel.architecture.name}`, `CROSS_COMPILE=${prefix}`],
      `CC=${own ? compiler(tree) : `${prefix}gcc`}`,
      // type information for modules would want pahole, and nobody reads it here
      "CONFIG_DEBUG_INFO_BTF_MODULES=",
      "modules",
    ], { env });
    for (const file of readdirSync(build)) {
      if (!file.endsWith(".ko")) continue;
      run(`${prefix}strip`, ["-g", "-o", join(temporary, file), join(build, file)], { env });
    }
    rmSync(build, { recursive: true });
  });
  return readdirSync(folder).map((file) => join(folder, file));
}

/** The guest's own C programs, and those of the kernel tests: compiling takes long in an emulated machine. */
export function buildPrograms(architecture: Architecture): readonly string[] {
  const hash = createHash("sha256").update(PROGRAM_SOURCES.map(hashOf).join()).digest("hex").slice(0, 16);
  const folder = cached(`programs/${architecture.name}-${hash}`, (temporary) => {
    const { prefix, flags, env } = compilerFor(architecture);
    for (const source of PROGRAM_SOURCES.flatMap(sourcesIn)) {
      run(`${prefix}gcc`, [...flags, ...C_FLAGS, "-o", join(temporary, basename(source, ".c")), source], {
        env,
      });
    }
  });
  return readdirSync(folder).map((file) => join(folder, file));
}

/** The compiler the kernel was made with, if it is here; another one mostly does as well. */
function compiler(tree: string): string {
  const variables = readFileSync(join(tree, ".kernelvariables"), "utf8");
  const wanted = /gcc-\d+/.exec(variables)?.[0];
  const found = [wanted, "gcc-12", "gcc"].find((name) =>
    name !== undefined && findProgram(name) !== undefined
  );
  if (found === undefined) {
    throw new RunnerError("Cannot build the kernel modules: no gcc found. Install it: apt-get install gcc");
  }
  return found;
}

function sourcesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.endsWith(".c")).sort().map((name) => join(folder, name));
}

function hashOf(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort()) {
    hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex").slice(0, 16);
}
