// Programs that run here: the machine's own QEMU when there is one, else Debian's, unpacked into the cache, and so the
// compiler for another processor. And a static busybox, which runs in the guest.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../support/programs.ts";
import { type Architecture, hostArchitecture } from "./architectures.ts";
import { cached } from "./cache.ts";
import { hostApt, missingPackages, unpack } from "./packages.ts";

export interface Qemu {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export function qemuFor(architecture: Architecture): Qemu {
  const name = `qemu-system-${architecture.gnu}`;
  const installed = findProgram(name);
  if (installed !== undefined) return { program: installed, args: [], env: {} };
  const root = unpacked(architecture === hostArchitecture() ? "qemu" : `qemu-${architecture.name}`, [
    architecture.qemuPackage,
  ]);
  return {
    program: join(root, "usr/bin", name),
    args: ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"].flatMap((
      place,
    ) => ["-L", join(root, place)]),
    env: libraryPath(root),
  };
}

/** A static busybox of this machine's processor. */
export function busybox(): string {
  return join(unpacked("busybox", ["busybox-static"]), "bin/busybox");
}

/** A compiler, its binutils and what a static program is linked with. */
export interface Compiler {
  /** Before "gcc" and "strip". */
  readonly prefix: string;
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export function compilerFor(architecture: Architecture): Compiler {
  if (architecture === hostArchitecture()) return { prefix: "", flags: [], env: {} };
  const triplet = `${architecture.gnu}-linux-gnu`;
  const root = unpacked(`gcc-${architecture.name}`, [
    `gcc-${triplet.replace("_", "-")}`,
    `libc6-dev-${architecture.debian}-cross`,
  ]);
  const bin = join(root, "usr/bin");
  return {
    prefix: join(bin, `${triplet}-`),
    flags: [`--sysroot=${root}`],
    env: { ...libraryPath(root), PATH: `${bin}:${process.env.PATH}` },
  };
}

/** Debian packages and what they need that is not installed here, unpacked once. */
function unpacked(entry: string, packages: readonly string[]): string {
  const folder = cached(`tools/${entry}`, (temporary) => {
    console.log(`fetching ${packages.join(" and ")}`);
    const apt = hostApt(join(temporary, "work", "apt"));
    const names = new Set([...missingPackages(apt, packages), ...packages]);
    unpack(apt, [...names], join(temporary, "work", "debs"), join(temporary, "root"));
    rmSync(join(temporary, "work"), { recursive: true });
  });
  return join(folder, "root");
}

function libraryPath(root: string): Readonly<Record<string, string>> {
  const library = `lib/${hostArchitecture().gnu}-linux-gnu`;
  return { LD_LIBRARY_PATH: `${join(root, "usr", library)}:${join(root, library)}` };
}
