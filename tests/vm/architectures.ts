// The processors that can be emulated, and all that differs between them.

import type { Runtime } from "../support/runtimes.ts";
import { RunnerError } from "./programs.ts";
import { extractVmlinux } from "./vmlinux.ts";

export interface Architecture {
  /** As Node, Bun and this project spell it. */
  readonly name: "x64" | "arm64";
  /** As Debian spells it. */
  readonly debian: "amd64" | "arm64";
  /** As GNU spells it: in the names of QEMU's programs, of compilers and of folders of libraries. */
  readonly gnu: "x86_64" | "aarch64";
  /** The Debian package that has QEMU's program. */
  readonly qemuPackage: string;
  /** QEMU's arguments for the machine: processor, console, the way to end it, devices for tests. */
  readonly machine: readonly string[];
  /** The kernel's arguments for that machine. */
  readonly append: string;
  /** The kernels and runtimes that are booted, and the test files that are run, where none is asked for. */
  readonly kernels: readonly string[];
  readonly runtimes: readonly Runtime[];
  readonly files: "usual" | readonly string[];
  /** What QEMU starts, made of Debian's kernel image. */
  bootable(image: Buffer): Buffer;
}

const X64: Architecture = {
  name: "x64",
  debian: "amd64",
  gnu: "x86_64",
  qemuPackage: "qemu-system-x86",
  machine: ["-machine", "q35", "-cpu", "max", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
    // for uvesafb
    .concat("-device", "VGA"),
  append: "console=ttyS0 tsc=reliable no_timer_check",
  kernels: ["6.1", "6.12"],
  runtimes: ["bun", "deno"],
  files: "usual",
  bootable: extractVmlinux,
};

const ARM64: Architecture = {
  name: "arm64",
  debian: "arm64",
  gnu: "aarch64",
  qemuPackage: "qemu-system-arm",
  // Not "max": its pointer authentication, in software, takes half of the time.
  machine: ["-machine", "virt", "-cpu", "cortex-a72"],
  append: "console=ttyAMA0",
  kernels: ["6.12"],
  runtimes: ["bun"],
  // What depends on the processor: structures of libc, numbers of system calls, the kernel's structures, waking up.
  files: ["tests/ffi/libc_test.ts", "tests/kernel/exec_records_test.ts", "tests/kernel/watch_test.ts"],
  bootable: (image) => image,
};

export const ARCHITECTURES: readonly Architecture[] = [X64, ARM64];

/** The one that programs of this machine are for: a guest of the same kind uses its root. */
export function hostArchitecture(): Architecture {
  const found = ARCHITECTURES.find(({ name }) => name === process.arch);
  if (process.platform !== "linux" || found !== X64) {
    throw new RunnerError("Cannot boot the virtual machines: that needs an x86-64 Linux host");
  }
  return found;
}
