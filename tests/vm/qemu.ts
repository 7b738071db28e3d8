// One boot of one kernel: QEMU's command line, a time limit, and the end of the process by its pid.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../support/programs.ts";
import { root } from "../support/runtimes.ts";
import type { Architecture } from "./architectures.ts";
import type { GuestRoot } from "./guest_root.ts";
import { FileLimit } from "./file_limit.ts";
import { MachineTime } from "./machine_time.ts";
import type { Qemu } from "./tools.ts";

export interface Boot {
  readonly architecture: Architecture;
  readonly qemu: Qemu;
  readonly guestRoot: GuestRoot;
  readonly vmlinux: string;
  readonly initramfs: string;
  /** More of the kernel's command line. */
  readonly append: string;
  /** Shared with the guest as /run/x; holds job.sh before, and the results after. */
  readonly folder: string;
  readonly job: string;
  /** Both limits count the time that the machine was given: see machine_time.ts. */
  readonly timeoutSeconds: number;
  readonly fileTimeoutSeconds: number;
  /** More of QEMU's arguments. */
  readonly devices?: readonly string[];
  /** Asked again and again: true kills the machine, as a power cut would. */
  readonly cutPower?: () => boolean;
}

export interface BootResult {
  /** The job's exit status, or undefined when the guest died or hung before it could tell. */
  readonly status: number | undefined;
  readonly seconds: number;
  readonly timedOut: boolean;
  readonly powerCut: boolean;
}

/** How often a boot is asked whether its power shall go. */
const CUT_POLL_MS = 10;
const LIMITS_POLL_MS = 1000;

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function boot(options: Boot): Promise<BootResult> {
  const { folder } = options;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "job.sh"), options.job);
  const started = performance.now();
  const log = openSync(join(folder, "qemu.log"), "w");
  const child = spawn(...bound(options.qemu.program, qemuArgs(options)), {
    env: { ...process.env, ...options.qemu.env },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  running.add(child);
  let timedOut = false;
  const time = new MachineTime(child.pid!);
  const files = new FileLimit(folder, options.fileTimeoutSeconds);
  const limits = setInterval(() => {
    const seconds = time.seconds();
    files.check(seconds);
    if (seconds < options.timeoutSeconds) return;
    timedOut = true;
    child.kill("SIGKILL");
  }, LIMITS_POLL_MS);
  let powerCut = false;
  const { cutPower } = options;
  const watch = cutPower && setInterval(() => {
    if (powerCut || !cutPower()) return;
    powerCut = true;
    child.kill("SIGKILL");
  }, CUT_POLL_MS);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", () => resolve());
    });
  } finally {
    clearInterval(limits);
    clearInterval(watch);
    running.delete(child);
  }
  const result = join(folder, "job.rc");
  const status = existsSync(result) ? Number(readFileSync(result, "utf8")) : undefined;
  return { status, seconds: (performance.now() - started) / 1000, timedOut, powerCut };
}

/** A runner that is killed outright cannot end its machine: where setpriv is there, the kernel does it. */
function bound(program: string, args: readonly string[]): [string, string[]] {
  const setpriv = findProgram("setpriv");
  if (setpriv === undefined) return [program, [...args]];
  return [setpriv, ["--pdeathsig", "KILL", program, ...args]];
}

function qemuArgs(options: Boot): readonly string[] {
  const kernelArgs = [
    options.architecture.append,
    "quiet panic=-1 nokaslr mitigations=off audit=0 apparmor=0",
    // Debian's kernels fill every page with zeros, also where nobody asks for it: emulation is slow at that
    "init_on_alloc=0",
    options.append,
  ];
  return [
    ...options.qemu.args,
    // emulation: hosted machines rarely have a KVM that can run a stock kernel
    "-accel",
    "tcg",
    // The guest's clock counts instructions (4 ns each, about what emulation takes), and time only while it idles: a
    // machine that has others to serve stretches the guest's seconds, so that no limit in a test means less there.
    "-icount",
    "shift=2,sleep=on",
    ...options.architecture.machine,
    "-m",
    "2048",
    // one CPU: with more, about one boot in 40 dies patching its own code under emulation
    "-smp",
    "1",
    "-nodefaults",
    "-no-user-config",
    "-nic",
    "none",
    "-display",
    "none",
    "-no-reboot",
    "-kernel",
    options.vmlinux,
    "-initrd",
    options.initramfs,
    "-append",
    kernelArgs.join(" "),
    "-chardev",
    `file,id=serial,path=${escape(join(options.folder, "console.log"))}`,
    "-serial",
    "chardev:serial",
    ...share("root", "hostroot", options.guestRoot.path, ",readonly=on,multidevs=remap"),
    // Another root has no checkout in it.
    ...options.guestRoot.path === "/"
      ? []
      : share("checkout", "checkout", root, ",readonly=on,multidevs=remap"),
    ...share("out", "vmout", options.folder, ""),
    ...options.devices ?? [],
  ];
}

function share(id: string, tag: string, path: string, more: string): readonly string[] {
  return [
    "-fsdev",
    `local,id=${id},path=${escape(path)},security_model=none${more}`,
    "-device",
    `virtio-9p-pci,fsdev=${id},mount_tag=${tag}`,
  ];
}

/** A disk that outlives its machine. The host's page cache keeps every write that the guest saw complete. */
export function disk(id: string, path: string, more: string = ""): readonly string[] {
  const drive = `file=${escape(path)},format=raw,if=none,id=${id},cache=writeback${more}`;
  return ["-drive", drive, "-device", `virtio-blk-pci,drive=${id}`];
}

/** QEMU's option values double their commas. */
function escape(path: string): string {
  return path.replaceAll(",", ",,");
}
