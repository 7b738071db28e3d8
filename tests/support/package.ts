import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { binary, root } from "./runtimes.ts";

/** What is published beside the code, its manifest and docs/. */
export const DOCUMENTS: readonly string[] = ["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md"];

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly name: string;
  readonly exports: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
};

/** What can be imported, by the name that a user writes, with its files in the package. */
export const ENTRY_POINTS: Readonly<Record<string, { readonly types: string; readonly default: string }>> =
  Object
    .fromEntries(Object.entries(manifest.exports).map(([path, files]) => [join(manifest.name, path), files]));

/** How long one command may take. */
export const LIMIT_MS = 180_000;

/** A folder of this test file's own, with one folder in it for each thing that is made. */
let folder: string | undefined;

/** Removes all that was made. A test file does so at its end: Bun lets all of them share this module. */
export function removeAll(): void {
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
}

/** Runs a command to its end; answers what it wrote. A failure shows both. */
export function run(cwd: string, program: string, ...args: string[]): string {
  const env = {
    ...process.env,
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    npm_config_update_notifier: "false",
  };
  return execFileSync(program, args, { cwd, env, encoding: "utf8", stdio: "pipe", timeout: LIMIT_MS });
}

/** An empty folder of its own. */
export function emptyFolder(name: string): string {
  folder ??= mkdtempSync(join(tmpdir(), "connector-package-"));
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Builds as `npm run build` does, once for a test file; answers the package's folder. */
export function built(): string {
  const home = emptyFolder("package");
  if (!existsSync(join(home, "dist"))) {
    for (const name of ["package.json", ...DOCUMENTS]) copyFileSync(join(root, name), join(home, name));
    cpSync(join(root, "docs"), join(home, "docs"), { recursive: true });
    run(root, binary("node"), "scripts/build.mjs", join(home, "dist"));
  }
  return home;
}
