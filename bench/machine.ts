import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { spawnSync } from "node:child_process";
import { findProgram } from "../tests/support/programs.ts";
import type { Runtime } from "./runtimes.ts";

/** The machine and the versions, a line each. */
export function describeMachine(runtimes: readonly Runtime[]): readonly string[] {
  const model = cpus()[0]?.model ?? "unknown processor";
  const lines = [
    `${model}, ${availableParallelism()} processors, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    `Linux ${release()}${distribution()}`,
    runtimes.map(({ name, version }) => `${name} ${version}`).join(", "),
    spawnSync("gcc", ["--version"], { encoding: "utf8" }).stdout.split("\n")[0] ?? "gcc",
  ];
  const forkstat = findProgram("forkstat");
  if (forkstat !== undefined) {
    const { stdout } = spawnSync(forkstat, ["-h"], { encoding: "utf8" });
    lines.push(/forkstat, version [\d.]+/.exec(stdout)?.[0] ?? "forkstat");
  }
  if (findProgram("extrace") !== undefined) lines.push("extrace");
  return lines;
}

function distribution(): string {
  try {
    const name = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
    return name === undefined ? "" : `, ${name}`;
  } catch {
    return "";
  }
}

/** The commit that is measured, with a + where files differ from it; "unknown" outside a repository. */
export function commitOf(): string {
  const git = (...options: string[]) =>
    spawnSync("git", options, { cwd: import.meta.dirname, encoding: "utf8" });
  const { status, stdout } = git("rev-parse", "--short", "HEAD");
  if (status !== 0) return "unknown";
  return `${stdout.trim()}${git("diff", "--quiet", "HEAD", "--", "..").status === 0 ? "" : "+"}`;
}
