// Our own modules, built against a kernel's header packages, and the small programs that the guest needs.
// An entry of the cache is named by a hash of its sources, so a changed source is built anew.

import { createHash } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cached } from "./cache.ts";
import type { KernelFiles } from "./kernel_files.ts";
import { findProgram } from "../support/programs.ts";
import { run, RunnerError } from "./programs.ts";

const MODULE_SOURCES = join(import.meta.dirname!, "module");
const PROGRAM_SOURCES = join(import.meta.dirname!, "programs");

/** The .ko files of our own modules for a kernel whose headers are there. */
export function buildModules(kernel: KernelFiles, headers: string): readonly string[] {
  const folder = cached(`modules/${kernel.release}-${hashOf(MODULE_SOURCES)}`, (temporary) => {
    const build = join(temporary, "build");
    cpSync(MODULE_SOURCES, build, { recursive: true });
    const tree = join(headers, "usr/src", `linux-headers-${kernel.release}`);
    run("make", [
      "-C",
      tree,
      `M=${build}`,
      `CC=${compiler(tree)}`,
      // type information for modules would want pahole, and nobody reads it here
      "CONFIG_DEBUG_INFO_BTF_MODULES=",
      "modules",
    ]);
    for (const file of readdirSync(build)) {
      if (!file.endsWith(".ko")) continue;
      run("strip", ["-g", "-o", join(temporary, file), join(build, file)]);
    }
    rmSync(build, { recursive: true });
  });
  return readdirSync(folder).map((file) => join(folder, file));
}

/** Every C file in programs/ as a program of its name; the guest has the host's libraries. */
export function buildPrograms(): readonly string[] {
  const folder = cached(`programs/${hashOf(PROGRAM_SOURCES)}`, (temporary) => {
    for (const file of readdirSync(PROGRAM_SOURCES)) {
      if (!file.endsWith(".c")) continue;
      run("gcc", ["-O2", "-Wall", "-o", join(temporary, file.slice(0, -2)), join(PROGRAM_SOURCES, file)]);
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

function hashOf(folder: string): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(folder).sort()) {
    hash.update(`${name}\0`).update(readFileSync(join(folder, name)));
  }
  return hash.digest("hex").slice(0, 16);
}
