// Runs what a release holds: natively, on musl, in QEMU, and the Debian package in an empty chroot.

import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, root } from "../tests/support/runtimes.ts";
import { findProgram } from "../tests/support/programs.ts";
import { installMuslProgram } from "../tests/musl/root.ts";
import { ARCHITECTURES, hostArchitecture } from "../tests/vm/architectures.ts";
import { cached } from "../tests/vm/cache.ts";
import { run, RunnerError, runText } from "../tests/vm/programs.ts";
import type { BunPlatform } from "../tests/vm/runtime_packages.ts";

const TRY = join(root, "scripts/try.sh");
/** Where a guest finds a program for musl: it has room for a short path only. */
const GUEST_FOLDER = "/run/m";

/** Tries each platform's binary in the folder of the release, and throws at the first that does not work. */
export function tryRelease(out: string, platforms: readonly BunPlatform[]): void {
  for (const platform of platforms) {
    const program = join(out, readdirSync(out).find((name) => name.endsWith(`-linux-${platform}`))!, "cnctl");
    console.log(`--- ${platform}`);
    if (platform === "x64") console.log(runText(TRY, [program]));
    else if (platform === "x64-musl") tryOnMusl(program);
    else tryInGuest(program, platform === "arm64-musl", out);
  }
  const packages = readdirSync(out).filter((name) => name.endsWith(`_${hostArchitecture().debian}.deb`));
  for (const name of packages) tryInChroot(join(out, name));
}

function tryOnMusl(program: string): void {
  const folder = mkdtempSync("/tmp/m-");
  try {
    console.log(runText(TRY, [installMuslProgram(program, "cnctl", folder, hostArchitecture())]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function tryInGuest(program: string, musl: boolean, out: string): void {
  const architecture = ARCHITECTURES.find(({ name }) => name === "arm64")!;
  const folder = join(out, "try");
  mkdirSync(folder);
  try {
    const job = join(folder, "job.sh");
    let lines = [`'${TRY}' '${program}'`];
    if (musl) {
      installMuslProgram(program, "cnctl", folder, architecture, GUEST_FOLDER);
      lines = [
        `mkdir ${GUEST_FOLDER}`,
        `mount --bind '${folder}' ${GUEST_FOLDER}`,
        `'${TRY}' ${GUEST_FOLDER}/bin/cnctl`,
      ];
    }
    writeFileSync(job, `${lines.join("\n")}\n`);
    const args = ["tests/vm/run.ts", "--arch", "arm64", "--kernel", "6.12", "--shell-job", job];
    console.log(runText(binary("bun"), args, { cwd: root }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Installs the package in a Debian that has nothing but what every Debian has, tries it, and removes it again. */
function tryInChroot(path: string): void {
  if (findProgram("debootstrap") === undefined) {
    console.log(`the package was not installed: there is no debootstrap (Debian: debootstrap)`);
    return;
  }
  const chroot = join(
    cached("roots/chroot", (folder) => {
      run("debootstrap", ["--variant=minbase", "bookworm", join(folder, "root")]);
    }),
    "root",
  );
  cpSync(path, join(chroot, "cnctl.deb"));
  cpSync(TRY, join(chroot, "try.sh"));
  chmodSync(join(chroot, "try.sh"), 0o755);
  run("mount", ["-t", "proc", "proc", join(chroot, "proc")]);
  try {
    const inside = (...words: readonly string[]): string => runText("chroot", [chroot, ...words]);
    console.log(`--- ${path.split("/").at(-1)} in a chroot`);
    inside("dpkg", "-i", "/cnctl.deb");
    console.log(inside("/try.sh", "cnctl"));
    inside("dpkg", "--purge", "cnctl");
    if (inside("sh", "-c", "dpkg -s cnctl 2> /dev/null || :") !== "") {
      throw new RunnerError("The package was not removed");
    }
  } finally {
    run("umount", [join(chroot, "proc")]);
  }
}
