// The shell script that the guest runs: every test file in a process of its own, so that a crash or a hang
// costs that file only.

import { existsSync, readdirSync, realpathSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Runtime } from "./options.ts";
import { RunnerError } from "./programs.ts";

export const CHECKOUT = resolve(import.meta.dirname, "../..");

const TEST_FOLDERS: readonly string[] = ["tests/kernel", "tests/vm/guest"];

/** The test files, relative to the checkout. */
export function testFiles(only: string | undefined): readonly string[] {
  const found: string[] = [];
  for (const folder of TEST_FOLDERS) {
    const path = join(CHECKOUT, folder);
    if (!existsSync(path)) continue;
    for (const name of readdirSync(path, { recursive: true, encoding: "utf8" })) {
      if (name.endsWith("_test.ts")) found.push(relative(CHECKOUT, join(path, name)));
    }
  }
  const files = found.filter((file) => only === undefined || file.includes(only)).sort();
  if (files.length === 0) {
    throw new RunnerError(
      `Cannot run tests: no *_test.ts in ${TEST_FOLDERS.join(" or ")} matches ${only ?? "*"}`,
    );
  }
  return files;
}

/** Files of one test file's run in the shared folder: NAME.xml, NAME.log, NAME.rc. */
export function resultName(file: string): string {
  return file.replace(/_test\.ts$/, "").replaceAll("/", "-");
}

/** Settings that every job starts with. `kernel` is the version as "6.1". */
export function jobPreamble(kernel: string): string {
  return [
    `export KERNEL_CONNECTOR_VM=${quote(kernel)} CONNECTOR_KERNEL_TESTS=required`,
    `BUN=${quote(runtimePath("bun"))}`,
    `DENO=${quote(runtimePath("deno"))}`,
    `BUSYBOX=/run/tools/busybox`,
    `cd ${quote(CHECKOUT)}`,
    "",
  ].join("\n");
}

export function testJob(runtime: Runtime, files: readonly string[], fileTimeoutSeconds: number): string {
  const lines = [
    // a file that hangs is ended with its log and result kept
    `one() {`,
    `  name=$1`,
    `  shift`,
    `  dmesg -C`,
    `  $BUSYBOX timeout -k 5 ${fileTimeoutSeconds} "$@" > /run/x/$name.log 2>&1 < /dev/null`,
    `  rc=$?`,
    `  echo $rc > /run/x/$name.rc`,
    `  if [ $rc -ne 0 ]; then dmesg | tail -n 20 > /run/x/$name.dmesg; fi`,
    `  read -r up idle < /proc/uptime`,
    `  echo "$name: $rc at $up"`,
    `}`,
  ];
  for (const file of files) {
    const name = resultName(file);
    const report = `/run/x/${name}.xml`;
    // the runtime's own limit for a test is 5 s, too short under emulation; ours leaves time to report it
    const testTimeout = fileTimeoutSeconds * 900;
    const command = runtime === "bun"
      ? `"$BUN" test --timeout ${testTimeout} --reporter=junit --reporter-outfile=${report} ./${file}`
      // packages come from node_modules: the guest has no network
      : `"$DENO" test -A --no-check --no-lock --node-modules-dir=manual --junit-path=${report} ${file}`;
    lines.push(`one ${quote(name)} ${command}`);
  }
  return `${lines.join("\n")}\nexit 0\n`;
}

function runtimePath(runtime: Runtime): string {
  const path = join(CHECKOUT, "node_modules", runtime === "bun" ? "bun/bin/bun.exe" : "deno/deno");
  if (!existsSync(path)) {
    throw new RunnerError(`Cannot run tests on ${runtime}: it is not in node_modules. Run npm ci first`);
  }
  return realpathSync(path);
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
