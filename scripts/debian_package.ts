// The Debian package of the command: one program with its man pages and completions.

import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";
import { root } from "../tests/support/runtimes.ts";
import { run, runText } from "../tests/vm/programs.ts";

export interface PackageContents {
  readonly architecture: "amd64" | "arm64";
  readonly version: string;
  readonly program: string;
  /** Where the package is written. */
  readonly out: string;
  /** Little compression, to try it. */
  readonly fast: boolean;
}

const NAME = "cnctl";
/** As Debian's own tools are told: a release has an address that reaches somebody. */
const MAINTAINER = `${process.env.DEBFULLNAME ?? "the kernel-connector authors"} <${
  process.env.DEBEMAIL ?? "kernel-connector@localhost"
}>`;
/** What lintian finds in Bun, which is what the program is made of. */
const OVERRIDES = ["embedded-library *", "hardening-no-pie *", "hardening-no-relro *"];
const SUMMARY = "watch every process start, run and exit";
const DESCRIPTION = [
  "cnctl is a client of the Linux kernel connector (NETLINK_CONNECTOR). It",
  "shows every process of the machine as it starts, runs programs and exits,",
  "waits for processes, traces commands, records a history, and talks to the",
  "kernel's 1-wire and device-mapper drivers. Lost events are counted.",
];

/** Writes NAME_VERSION_ARCHITECTURE.deb; answers its path. */
export function writeDebianPackage({ architecture, version, program, out, fast }: PackageContents): string {
  const tree = join(out, `deb-${architecture}`);
  const put = (path: string, content: string | Uint8Array, mode = 0o644): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content);
    chmodSync(join(tree, path), mode); // whatever the umask is
  };
  mkdirSync(join(tree, "usr/bin"), { recursive: true });
  copyFileSync(program, join(tree, "usr/bin", NAME));
  chmodSync(join(tree, "usr/bin", NAME), 0o755);
  for (const page of readdirSync(join(root, "dist/man"))) {
    put(`usr/share/man/man1/${page}.gz`, gzipSync(readFileSync(join(root, "dist/man", page)), { level: 9 }));
  }
  const completion = (shell: string): Uint8Array =>
    readFileSync(join(root, `dist/completions/cnctl.${shell}`));
  put(`usr/share/bash-completion/completions/${NAME}`, completion("bash"));
  put(`usr/share/zsh/vendor-completions/_${NAME}`, completion("zsh"));
  put(`usr/share/fish/vendor_completions.d/${NAME}.fish`, completion("fish"));
  const documents = `usr/share/doc/${NAME}`;
  put(`${documents}/copyright`, copyright());
  put(`usr/share/lintian/overrides/${NAME}`, OVERRIDES.map((tag) => `${NAME}: ${tag}\n`).join(""));
  put(`${documents}/changelog.gz`, gzipSync(changelog(version), { level: 9 }));
  const bytes = readdirSync(tree, { recursive: true, encoding: "utf8" })
    .map((path) => statSync(join(tree, path))).filter((found) => found.isFile())
    .reduce((sum, { size }) => sum + size, 0);
  const control = [
    `Package: ${NAME}`,
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    `Maintainer: ${MAINTAINER}`,
    `Installed-Size: ${Math.ceil(bytes / 1024)}`,
    `Depends: libc6 (>= ${neededGlibc(program)})`,
    "Section: admin",
    "Priority: optional",
    `Description: ${SUMMARY}`,
    ...DESCRIPTION.map((line) => ` ${line}`),
    "",
  ];
  put("DEBIAN/control", control.join("\n"));
  const path = join(out, `${NAME}_${version}_${architecture}.deb`);
  // xz: older releases of Debian cannot unpack zstd.
  const compression = fast ? ["-Zgzip", "-z1"] : ["-Zxz"];
  run("dpkg-deb", ["--root-owner-group", ...compression, "--build", tree, path]);
  rmSync(tree, { recursive: true });
  return path;
}

/** The newest version of glibc whose symbols the program uses. */
function neededGlibc(program: string): string {
  const versions = [...runText("readelf", ["-W", "--version-info", program]).matchAll(/GLIBC_(\d+)\.(\d+)/g)]
    .map(([, major, minor]) => [Number(major), Number(minor)] as const)
    .sort(([a, b], [c, d]) => a - c || b - d);
  return versions.at(-1)!.join(".");
}

function copyright(): string {
  const license = readFileSync(join(root, "LICENSE"), "utf8");
  const holder = /^Copyright \(c\) (.*)$/m.exec(license)![1]!;
  const terms = license.slice(license.indexOf("Permission is")).trimEnd().split("\n")
    .map((line) => line === "" ? " ." : ` ${line}`);
  return [
    "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
    "Upstream-Name: kernel-connector",
    "Comment: The program contains Bun (https://bun.sh) and what that is linked with,",
    " under the licenses that are listed at https://bun.sh/docs/project/licensing.",
    "",
    "Files: *",
    `Copyright: ${holder}`,
    "License: Expat",
    ...terms,
    "",
  ].join("\n");
}

/** The entries of CHANGELOG.md in a form that Debian's tools read. */
function changelog(version: string): string {
  const date = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? Date.now() / 1000) * 1000);
  const rfc = date.toUTCString().replace("GMT", "+0000");
  return `${NAME} (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md in the archive of the release.\n\n` +
    ` -- ${MAINTAINER}  ${rfc}\n`;
}
