// The root file system of a guest: this machine's own, or for another processor one of Debian's packages.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { binary, root } from "../support/runtimes.ts";
import { type Architecture, hostArchitecture } from "./architectures.ts";
import { cached } from "./cache.ts";
import { RUNTIMES } from "./options.ts";
import { missingPackages, suiteApt, unpack } from "./packages.ts";
import { arm64Runtime, installedVersion } from "./runtime_packages.ts";

export interface GuestRoot {
  readonly path: string;
  /** Programs of the checkout that the guest replaces by its own, each by its path in the checkout. */
  readonly replaced: ReadonlyMap<string, string>;
}

/** What tests use. Their dependencies come with them. */
const PACKAGES: readonly string[] = [
  "bash",
  "busybox-static",
  "coreutils",
  "dash",
  "dmsetup",
  "findutils",
  "grep",
  "libatomic1",
  "libc-bin",
  "libstdc++6",
  "login",
  "mawk",
  "mount",
  "passwd",
  "procps",
  "python3",
  "sed",
  "strace",
  "util-linux",
];
const SUITE = "bookworm";
const FOLDERS: readonly string[] = ["dev", "etc", "opt", "proc", "root", "run", "sys", "tmp", "usr/sbin"];
const PASSWD = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n" +
  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\n";

export function guestRoot(architecture: Architecture): GuestRoot {
  if (architecture === hostArchitecture()) return { path: "/", replaced: new Map() };
  const path = join(unpackedRoot(architecture), "root");
  // Where the checkout is mounted.
  mkdirSync(join(path, root), { recursive: true });
  return { path, replaced: new Map(RUNTIMES.map((runtime) => [binary(runtime), `/opt/${runtime}`])) };
}

function unpackedRoot(architecture: Architecture): string {
  const versions = RUNTIMES.map((runtime) => `${runtime}@${installedVersion(runtime)}`);
  const contents = [...PACKAGES, ...versions, PASSWD, GROUP].join();
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 8);
  return cached(`roots/${architecture.name}-${hash}`, (temporary) => {
    console.log(`fetching the programs of a guest for ${architecture.name} from ${SUITE}`);
    const work = join(temporary, "work");
    const target = join(temporary, "root");
    const apt = suiteApt(join(work, "apt"), "main", SUITE, [architecture.debian]);
    unpack(apt, missingPackages(apt, PACKAGES), join(work, "debs"), target);
    for (const folder of FOLDERS) mkdirSync(join(target, folder), { recursive: true });
    // Nothing was installed, so nobody has made these.
    writeFileSync(join(target, "etc/passwd"), PASSWD);
    writeFileSync(join(target, "etc/group"), GROUP);
    link("mawk", join(target, "usr/bin/awk"));
    link("/sbin/dmsetup", join(target, "usr/sbin/dmsetup"));
    for (const runtime of RUNTIMES) copyFileSync(arm64Runtime(runtime), join(target, "opt", runtime));
    rmSync(work, { recursive: true });
  });
}

function link(to: string, path: string): void {
  if (!existsSync(path)) symlinkSync(to, path);
}
