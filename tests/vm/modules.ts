// Kernel modules from a Debian package: found by the kernel's name for them, decompressed, and put in the
// order of their dependencies, which each .ko states itself ("depends=" in its .modinfo section).

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { run } from "./programs.ts";

/** The name as in /proc/modules: dm-mod.ko and dm_mod are the same module. */
export function moduleName(file: string): string {
  return basename(file).replace(/\.ko(\.\w+)?$/, "").replaceAll("-", "_");
}

export function findModules(folder: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (/\.ko(\.(xz|gz|zst))?$/.test(file)) found.set(moduleName(file), join(folder, file));
  }
  return found;
}

export function readModule(path: string): Buffer {
  const bytes = readFileSync(path);
  if (path.endsWith(".xz")) return run("xz", ["-dc"], { input: bytes });
  if (path.endsWith(".zst")) return run("zstd", ["-dcq"], { input: bytes });
  if (path.endsWith(".gz")) return gunzipSync(bytes);
  return bytes;
}

export function moduleDepends(bytes: Buffer): readonly string[] {
  const key = Buffer.from("\0depends=", "latin1");
  const at = bytes.indexOf(key);
  if (at < 0) return [];
  const from = at + key.length;
  const names = bytes.toString("latin1", from, bytes.indexOf(0, from));
  return names === "" ? [] : names.split(",").map((name) => name.replaceAll("-", "_"));
}

/** `names` and all that they need, each after what it needs. Names without a file are left out. */
export function inOrder(
  names: readonly string[],
  depends: ReadonlyMap<string, readonly string[]>,
): readonly string[] {
  const order = new Set<string>();
  const visit = (name: string, above: readonly string[]): void => {
    const needs = depends.get(name);
    if (needs === undefined || order.has(name) || above.includes(name)) return;
    for (const need of needs) visit(need, [...above, name]);
    order.add(name);
  };
  for (const name of names) visit(name, []);
  return [...order];
}
