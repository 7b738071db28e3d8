// One kernel made ready to boot: fetched, its modules built, its initramfs written.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Architecture } from "./architectures.ts";
import { type GuestRoot, guestRoot } from "./guest_root.ts";
import { initramfs } from "./initramfs.ts";
import { type KernelFiles, kernelFiles, systemLabel } from "./kernel_files.ts";
import { BOOT_MODULES, type Kernel } from "./kernels.ts";
import { buildModules, buildPrograms } from "./module_build.ts";
import { inOrder } from "./modules.ts";
import { RunnerError, tail } from "./programs.ts";
import { busybox, type Qemu, qemuFor } from "./tools.ts";

export interface System {
  readonly architecture: Architecture;
  readonly qemu: Qemu;
  readonly guestRoot: GuestRoot;
  readonly label: string;
  /** As tests see it: "6.1". */
  readonly version: string;
  readonly release: string;
  readonly vmlinux: string;
  readonly initramfs: string;
  /** More of the kernel's command line. */
  readonly append: string;
}

/** What our own modules need of the kernel's. */
const OWN_DEPENDS = "w1_soft: wire\n";

export function prepareMachine(
  kernel: Kernel,
  architecture: Architecture,
  output: string,
  renew: boolean,
  append: string,
): System {
  const files = kernelFiles(kernel, architecture, renew);
  const label = systemLabel(kernel, architecture);
  const root = guestRoot(architecture);
  const image = join(output, `${label}.cpio`);
  const stock = [...files.depends.keys()].map((name) => join(files.moduleFolder, `${name}.ko`));
  const depends = [...files.depends].map(([name, needs]) => `${name}: ${needs.join(" ")}\n`).join("");
  const archive = initramfs({
    busybox: root.path === "/" ? busybox() : join(root.path, "bin/busybox"),
    init: join(import.meta.dirname!, "guest/init.sh"),
    modules: [...stock, ...ownModules(kernel, files)],
    programs: buildPrograms(architecture),
    bootModules: inOrder(BOOT_MODULES, files.depends),
    depends: depends + OWN_DEPENDS,
  });
  writeFileSync(image, archive);
  return {
    architecture,
    qemu: qemuFor(architecture),
    guestRoot: root,
    label,
    version: /^\d+\.\d+/.exec(files.release)?.[0] ?? files.release,
    release: files.release,
    vmlinux: files.vmlinux,
    initramfs: image,
    append,
  };
}

function ownModules(kernel: Kernel, files: KernelFiles): readonly string[] {
  try {
    if (files.headers === undefined) throw new RunnerError("Debian has no headers for it any more");
    return buildModules(files, files.headers);
  } catch (error) {
    if (kernel.modules === "required" || !(error instanceof RunnerError)) throw error;
    console.log(`${kernel.label}: without our own modules: ${cause(error.message)}`);
    return [];
  }
}

/** The most informative line of a build's output. */
function cause(message: string): string {
  const lines = message.split("\n");
  return lines.find((line) => /error:|not found|unrecognized/.test(line)) ?? tail(message, 1);
}
