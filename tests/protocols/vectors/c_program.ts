import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A C structure and our offsets of its fields. SIZE is `sizeof` or `offsetof(data)`. */
export interface CLayout {
  /** As C writes it: `"struct cn_msg"`. */
  readonly struct: string;
  /** Our offsets, by C field, and SIZE. */
  readonly ours: Readonly<Record<string, number>>;
  /** Our fields that have another name in C: `{ body: "body.kvp_get" }`. */
  readonly spelled?: Readonly<Record<string, string>>;
  /** The flexible array at which SIZE is measured; without it SIZE is `sizeof`. */
  readonly sizeAt?: string;
}

/** Why gcc cannot use these headers, or false. */
export function whyNoC(headers: readonly string[]): string | false {
  const source = headers.map((header) => `#include <${header}>\n`).join("");
  try {
    execFileSync("gcc", ["-fsyntax-only", "-x", "c", "-"], {
      input: source,
      stdio: ["pipe", "pipe", "pipe"],
    });
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "there is no gcc";
    return `gcc does not find <${headers.join(">, <")}>`;
  }
}

/** Compiles and runs a C program; returns its output. */
export function runC(source: string): string {
  const folder = mkdtempSync(join(tmpdir(), "connector-c-"));
  try {
    writeFileSync(join(folder, "program.c"), source);
    const program = join(folder, "program");
    execFileSync("gcc", ["-Wall", "-Werror", "-o", program, join(folder, "program.c")], { stdio: "pipe" });
    return execFileSync(program, { encoding: "utf8" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Compares our offsets and sizes with those of a C compiler. Returns how many there were. */
export function compareWithC(preamble: string, layouts: readonly CLayout[]): number {
  const lines = layouts.flatMap(({ struct, ours, spelled, sizeAt }) =>
    Object.keys(ours).map((field) => {
      const measured = field === "SIZE"
        ? sizeAt === undefined ? `sizeof(${struct})` : `offsetof(${struct}, ${sizeAt})`
        : `offsetof(${struct}, ${spelled?.[field] ?? field})`;
      return `  printf("${struct}.${field} %zu\\n", ${measured});\n`;
    })
  );
  const output = runC(`${preamble}
#include <stddef.h>
#include <stdio.h>
int main(void) {
${lines.join("")}  return 0;
}
`);
  const expected = layouts.flatMap(({ struct, ours }) =>
    Object.entries(ours).map(([field, offset]) => `${struct}.${field} ${offset}`)
  );
  assert.deepEqual(output.trim().split("\n"), expected);
  return expected.length;
}
