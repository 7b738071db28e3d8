/**
 * Runs tests on a Bun that is linked with musl, on a Debian with glibc.
 *
 *   npm run test:musl                    what depends on the C library, and a few tests of the kernel
 *   npm run test:musl -- --all           everything that Bun runs on glibc, too
 *   npm run test:musl -- --only watch    only files whose path contains "watch"
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { testFiles } from "../support/files.ts";
import { parseJunit } from "../support/junit.ts";
import { root } from "../support/runtimes.ts";
import { hostArchitecture } from "../vm/architectures.ts";
import { requirePrograms, RunnerError } from "../vm/programs.ts";
import { count, describeCounts, describeFailure } from "../vm/results.ts";
import { bunFor } from "../vm/runtime_packages.ts";
import { installMuslProgram } from "./root.ts";

/** The C library's functions, structures and errors, and what of the kernel goes through them. */
const SHORT = ["ffi/", "kernel/doctor", "kernel/exec_records_test", "kernel/process_wait_for_exit"]
  .map((path) => `tests/${path}`);
const LIMIT_MS = 30 * 60_000;

const { values: options } = parseArgs({
  options: { all: { type: "boolean", default: false }, only: { type: "string" } },
});

/** The files that are run. */
function chosen(): readonly string[] {
  const files = testFiles();
  const { only, all } = options;
  if (only !== undefined) return files.filter((file) => file.includes(only));
  // What is shipped is built and tried by the tests on glibc; here, the build itself is not the question.
  if (all) return files.filter((file) => !/packag|^tests\/vm\//.test(file));
  return files.filter((file) => SHORT.some((path) => file.startsWith(path)));
}

function main(): number {
  requirePrograms({ "apt-get": "apt", dpkg: "dpkg", gcc: "gcc" });
  // A short path: a program for musl has room for no more.
  const folder = mkdtempSync("/tmp/m-");
  chmodSync(folder, 0o755); // some tests start programs as another user
  const report = join(folder, "report.xml");
  try {
    const architecture = hostArchitecture();
    const bun = installMuslProgram(bunFor(`${architecture.name}-musl`), "bun", folder, architecture);
    const files = chosen();
    const args = ["test", "--timeout=120000", "--reporter=junit", `--reporter-outfile=${report}`]
      .concat(files.map((file) => `./${file}`));
    const env = { ...process.env, NO_COLOR: "1", CONNECTOR_KERNEL_TESTS: "required" };
    const started = performance.now();
    const { status, stdout, stderr } = spawnSync(bun, args, {
      cwd: root,
      env,
      timeout: LIMIT_MS,
      encoding: "utf8",
    });
    const tests = readReport(report);
    for (const test of tests) if (test.outcome === "failed") console.log(describeFailure(test));
    const counts = count(tests);
    // A runtime that died, or that failed outside of any test, is a failure too.
    if (counts.failed === 0 && (status !== 0 || tests.length === 0)) {
      counts.failed++;
      console.log(`${stdout}${stderr}`.slice(-6000));
    }
    console.log(
      `${files.length} files on Bun with musl in ${((performance.now() - started) / 1000).toFixed(1)} s`,
    );
    console.log(describeCounts(counts));
    return counts.failed === 0 && counts.passed > 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function readReport(path: string): ReturnType<typeof parseJunit> {
  try {
    return parseJunit(readFileSync(path, "utf8"));
  } catch {
    return [];
  }
}

try {
  process.exitCode = main();
} catch (error) {
  if (!(error instanceof RunnerError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
