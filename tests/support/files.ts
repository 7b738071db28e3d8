import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { root } from "./runtimes.ts";

/** Every file below a folder of the project that satisfies `wanted`, by its path from the project's root. */
export function filesBelow(folder: string, wanted: (path: string) => boolean): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter(wanted)
    .sort();
}

/** The tests that run here on every runtime: those in tests/vm/guest want a kernel of their own, tests/deno is Deno's. */
export function testFiles(): string[] {
  return filesBelow("tests", (path) => path.endsWith("_test.ts") && !/^tests\/(vm\/guest|deno)\//.test(path));
}
