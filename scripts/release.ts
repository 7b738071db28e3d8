/**
 * Makes what is released beside the npm package, in dist/release/: for each platform a binary in an archive, for those
 * with glibc a Debian package, and the checksums of all of it.
 *
 *   npm run release                          everything; npm's packages of Bun are fetched once
 *   npm run release -- --platform x64        one platform; may be repeated
 *   npm run release -- --fast                with less compression, to try it
 *   npm run release -- --try                 and runs each: version, doctor and a watch
 */
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { binary, root } from "../tests/support/runtimes.ts";
import { ARCHITECTURES } from "../tests/vm/architectures.ts";
import { run, RunnerError } from "../tests/vm/programs.ts";
import { bunFor, type BunPlatform } from "../tests/vm/runtime_packages.ts";
import { compilerFor } from "../tests/vm/tools.ts";
import { writeDebianPackage } from "./debian_package.ts";
import { tryRelease } from "./try_release.ts";

const PLATFORMS: readonly BunPlatform[] = ["x64", "arm64", "x64-musl", "arm64-musl"];
const out = join(root, "dist/release");

const { values: options } = parseArgs({
  options: {
    platform: { type: "string", multiple: true, default: [...PLATFORMS] },
    fast: { type: "boolean", default: false },
    try: { type: "boolean", default: false },
  },
});

function main(): void {
  const platforms = options.platform.map((name) => {
    const found = PLATFORMS.find((platform) => platform === name);
    if (found === undefined) throw new RunnerError(`--platform ${name} is none of ${PLATFORMS.join(", ")}`);
    return found;
  });
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  run(binary("node"), ["scripts/build.mjs"], { cwd: root });
  mkdirSync(out);
  for (const platform of platforms) release(platform, manifest);
  const files = readdirSync(out).filter((name) => /\.(zst|deb)$/.test(name)).sort();
  const sums = files.map((name) => `${sha256(join(out, name))}  ${name}\n`);
  writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
  if (options.try) tryRelease(out, platforms);
}

interface Manifest {
  readonly version: string;
  readonly scripts: Readonly<Record<string, string>>;
}

/** A platform's binary, its archive, and its Debian package. */
function release(platform: BunPlatform, { version, scripts }: Manifest): void {
  const name = `cnctl-${version}-linux-${platform}`;
  const folder = join(out, name);
  mkdirSync(folder);
  const program = join(folder, "cnctl");
  compile(platform, scripts["build:binary"]!, program);
  for (const document of ["CHANGELOG.md", "LICENSE", "README.md"]) {
    copyFileSync(join(root, document), join(folder, document));
  }
  for (const made of ["man", "completions"]) {
    cpSync(join(root, "dist", made), join(folder, made), { recursive: true });
  }
  const archive = `${folder}.tar.zst`;
  // The same bytes for the same content: names in order, nobody's user and time.
  const time = `@${process.env.SOURCE_DATE_EPOCH ?? Math.floor(Date.now() / 1000)}`;
  const tar = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", `--mtime=${time}`, "-C", out];
  run("tar", [
    ...tar,
    `--use-compress-program=zstd -q -T0 ${options.fast ? "-3" : "-19"}`,
    "-cf",
    archive,
    name,
  ]);
  report(archive);
  if (platform === "x64" || platform === "arm64") {
    report(writeDebianPackage({ architecture: debian(platform), version, program, out, fast: options.fast }));
  }
}

/** Compiles the command as `npm run build:binary` does, with the Bun of another platform. */
function compile(platform: BunPlatform, script: string, program: string): void {
  const architecture = ARCHITECTURES.find(({ name }) => platform.startsWith(name))!;
  const { prefix, env } = compilerFor(architecture);
  const runtime = `${program}.bun`;
  // It has a table of symbols that nobody needs, and which Debian wants removed.
  run(`${prefix}strip`, ["-o", runtime, bunFor(platform)], { env });
  const [, ...words] = script.replace("dist/cnctl", program).split(" ");
  const target = [`--target=bun-linux-${platform}`, `--compile-executable-path=${runtime}`];
  run(binary("bun"), [...words, ...target], { cwd: root });
  rmSync(runtime);
}

function debian(platform: "x64" | "arm64"): "amd64" | "arm64" {
  return ARCHITECTURES.find(({ name }) => name === platform)!.debian;
}

function report(path: string): void {
  const megabytes = (readFileSync(path).length / 1e6).toFixed(1);
  console.log(`${basename(path)}: ${megabytes} MB`);
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

try {
  main();
} catch (error) {
  if (!(error instanceof RunnerError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
