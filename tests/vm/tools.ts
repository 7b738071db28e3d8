// QEMU and a static busybox: the machine's own QEMU when there is one, else Debian's, unpacked into the cache.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { cached } from "./cache.ts";
import { hostApt, missingPackages, unpack } from "./packages.ts";
import { findProgram } from "../support/programs.ts";

export interface Tools {
  readonly qemu: string;
  readonly qemuArgs: readonly string[];
  readonly qemuEnv: Readonly<Record<string, string>>;
  readonly busybox: string;
}

export function tools(): Tools {
  const installed = findProgram("qemu-system-x86_64");
  const entry = installed === undefined ? "tools/qemu" : "tools/busybox";
  const folder = cached(entry, (temporary) => {
    console.log("fetching busybox" + (installed === undefined ? " and QEMU" : ""));
    const apt = hostApt(join(temporary, "work", "apt"));
    const wanted = installed === undefined ? missingPackages(apt, ["qemu-system-x86"]) : [];
    const names = new Set([...wanted, "busybox-static"]);
    unpack(apt, [...names], join(temporary, "work", "debs"), join(temporary, "root"));
    rmSync(join(temporary, "work"), { recursive: true });
  });
  const root = join(folder, "root");
  const busybox = join(root, "bin/busybox");
  if (installed !== undefined) return { qemu: installed, qemuArgs: [], qemuEnv: {}, busybox };
  const library = "lib/x86_64-linux-gnu";
  return {
    qemu: join(root, "usr/bin/qemu-system-x86_64"),
    qemuArgs: ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"].flatMap((
      place,
    ) => ["-L", join(root, place)]),
    qemuEnv: { LD_LIBRARY_PATH: `${join(root, "usr", library)}:${join(root, library)}` },
    busybox,
  };
}
