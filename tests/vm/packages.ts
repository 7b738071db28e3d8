// Debian's packages without installing them: apt with folders of its own for each suite, then dpkg -x.
// The archive is the one that apt is configured with; only the suite differs.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, RunnerError, runText } from "./programs.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

export interface Apt {
  readonly config: string;
}

/** apt as the machine has it configured, but with lists and caches in `folder`. */
export function hostApt(folder: string): Apt {
  return openApt(folder, [`Dir::State::status "/var/lib/dpkg/status";`]);
}

/** apt that knows one suite only, whatever release the machine runs, and these architectures, its own first. */
export function suiteApt(
  folder: string,
  archive: "main" | "security",
  suite: string,
  architectures: readonly string[],
): Apt {
  const sources = join(folder, "sources.d");
  mkdirSync(sources, { recursive: true });
  const signed = existsSync(KEYRING) ? `Signed-By: ${KEYRING}\n` : "";
  writeFileSync(
    join(sources, "suite.sources"),
    `Types: deb\nURIs: ${archiveUri(archive)}\nSuites: ${suite}\nComponents: main\nArchitectures: ${
      architectures.join(" ")
    }\n${signed}`,
  );
  const status = join(folder, "status");
  writeFileSync(status, "");
  return openApt(folder, [
    `Dir::Etc::sourcelist "/dev/null";`,
    `Dir::Etc::sourceparts "${sources}";`,
    `Dir::State::status "${status}";`,
    `APT::Architecture "${architectures[0]}";`,
    `APT::Architectures { ${architectures.map((name) => `"${name}";`).join(" ")} };`,
    // a suite that cannot be fetched is an error, not a warning
    `APT::Update::Error-Mode "any";`,
  ]);
}

/** Names of packages that match, oldest version first. */
export function packagesLike(apt: Apt, pattern: RegExp): readonly string[] {
  const names = aptText("apt-cache", apt, ["pkgnames", "linux-image"]).split("\n");
  return names.filter((name) => pattern.test(name)).sort((a, b) =>
    a.localeCompare(b, "en", { numeric: true })
  );
}

/** The packages that `name` depends on, the first of each alternative. */
export function dependencies(apt: Apt, name: string): readonly string[] {
  const record = aptText("apt-cache", apt, ["show", "--no-all-versions", name]);
  const line = record.split("\n").find((text) => text.startsWith("Depends: "));
  if (line === undefined) return [];
  return line.slice("Depends: ".length).split(",").map((item) => item.trim().split(/[ :(|]/)[0] ?? "");
}

export function hasPackage(apt: Apt, name: string): boolean {
  return aptText("apt-cache", apt, ["search", "--names-only", `^${name.replaceAll("+", "\\+")}$`]).trim() !==
    "";
}

/** What installing `names` here would add: their dependencies that the machine does not have. */
export function missingPackages(apt: Apt, names: readonly string[]): readonly string[] {
  const plan = aptText("apt-get", apt, ["install", "--simulate", "--no-install-recommends", ...names]);
  return plan.split("\n").filter((line) => line.startsWith("Inst ")).map((line) => line.split(" ")[1] ?? "");
}

/** Downloads packages and unpacks them into `target`. */
export function unpack(apt: Apt, names: readonly string[], folder: string, target: string): void {
  mkdirSync(folder, { recursive: true });
  mkdirSync(target, { recursive: true });
  run("apt-get", ["--quiet", "download", ...names], { cwd: folder, env: { APT_CONFIG: apt.config } });
  for (const file of readdirSync(folder)) {
    if (file.endsWith(".deb")) run("dpkg", ["-x", join(folder, file), target]);
  }
}

function openApt(folder: string, lines: readonly string[]): Apt {
  const config = join(folder, "apt.conf");
  mkdirSync(join(folder, "lists", "partial"), { recursive: true });
  mkdirSync(join(folder, "cache", "archives", "partial"), { recursive: true });
  writeFileSync(
    config,
    [
      `Dir::State::lists "${join(folder, "lists")}";`,
      `Dir::Cache "${join(folder, "cache")}";`,
      // the folder belongs to the user who runs the tests, not to apt's own user
      `APT::Sandbox::User "";`,
      `Acquire::Languages "none";`,
      ...lines,
      "",
    ].join("\n"),
  );
  const apt: Apt = { config };
  run("apt-get", ["--quiet", "update"], { env: { APT_CONFIG: config } });
  return apt;
}

function aptText(program: string, apt: Apt, args: readonly string[]): string {
  return runText(program, args, { env: { APT_CONFIG: apt.config } });
}

function archiveUri(archive: "main" | "security"): string {
  const chosen = (process.env.KERNEL_CONNECTOR_VM_ARCHIVES ?? "").split(" ").filter((part) => part !== "");
  const uri = chosen.length === 2 ? chosen[archive === "main" ? 0 : 1] : configuredUri(archive);
  if (uri === undefined) {
    throw new RunnerError(
      `Cannot fetch Debian's kernels: apt is not configured with Debian's ${archive} archive. ` +
        `Set KERNEL_CONNECTOR_VM_ARCHIVES to the addresses of Debian's main and security archives, ` +
        `separated by a space, and install debian-archive-keyring`,
    );
  }
  return uri;
}

function configuredUri(archive: "main" | "security"): string | undefined {
  if (!/^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"))) return undefined;
  const format = "$(REPO_URI)|$(RELEASE)";
  // Without release information apt also lists sources whose lists it has not fetched yet.
  const args = ["indextargets", "--no-release-info", "--format", format, "Identifier: Packages"];
  const rows = runText("apt-get", args).split("\n");
  for (const row of rows) {
    const [uri, release] = row.split("|");
    if (uri === undefined || release === undefined || uri === "") continue;
    const isSecurity = /-security$/.test(release);
    // third-party sources name their suites otherwise: a Debian suite is one lower case word
    if (archive === "security" ? isSecurity : !isSecurity && /^[a-z]+(-updates|-backports)?$/.test(release)) {
      return uri;
    }
  }
  return undefined;
}
