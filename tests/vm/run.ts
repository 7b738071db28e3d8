// Boots Debian kernels under QEMU and runs the kernel tests inside, on Bun and on Deno.

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { hostArchitecture } from "./architectures.ts";
import { sweep } from "./cache.ts";
import { runCrashes } from "./crashes.ts";
import { bootJob, guestFailure } from "./guest_boot.ts";
import { jobPreamble, onceForEachKernel, testFiles, testJob } from "./job.ts";
import type { TestResult } from "../support/junit.ts";
import { prepareMachine, type System } from "./machine.ts";
import type { Runtime } from "../support/runtimes.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { makeOutputFolder } from "./output.ts";
import { requirePrograms, RunnerError } from "./programs.ts";
import { collect, count, describeCounts, describeFailure, readText } from "./results.ts";

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  checkHost();
  const files = options.shellJob === undefined ? testFiles(options.only, options.architecture) : [];
  sweep();
  const output = makeOutputFolder();
  const started = performance.now();
  let machines: readonly System[];
  try {
    machines = options.kernels.map((kernel) =>
      prepareMachine(kernel, options.architecture, output, options.update, options.append)
    );
  } catch (error) {
    // nothing was booted, so there is nothing to look at
    rmSync(output, { recursive: true });
    throw error;
  }
  console.log(`prepared in ${((performance.now() - started) / 1000).toFixed(1)} s; output in ${output}`);
  const good = options.shellJob !== undefined
    ? await runShellJob(machines, options.shellJob, options, output)
    : options.crashes !== undefined
    ? await crashAll(machines, options.crashes, options, output)
    : await runTests(machines, files, options, output);
  if (good && !options.keep) rmSync(output, { recursive: true });
  return good ? 0 : 1;
}

function checkHost(): void {
  hostArchitecture();
  requirePrograms({
    "apt-get": "apt",
    "apt-cache": "apt",
    dpkg: "dpkg",
    xz: "xz-utils",
    zstd: "zstd",
    gcc: "gcc",
    make: "make",
    strip: "binutils",
    dmsetup: "dmsetup",
  });
}

async function runTests(
  machines: readonly System[],
  files: readonly string[],
  options: Options,
  output: string,
): Promise<boolean> {
  // The slowest runtime first: two at a time then end together.
  const runtimes = [...options.runtimes].sort((a, b) => Number(a === "bun") - Number(b === "bun"));
  const boots = machines.flatMap((system) => runtimes.map((runtime) => ({ system, runtime })));
  const all: TestResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = boots.shift(); next !== undefined; next = boots.shift()) {
      // What was asked for by name runs on every runtime.
      const wanted = options.only.length > 0 || next.runtime === options.runtimes[0]
        ? files
        : files.filter((file) => !onceForEachKernel(file));
      all.push(...await runTestsIn(next.system, next.runtime, wanted, options, output));
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, worker));
  const counts = count(all);
  console.log(describeCounts(counts));
  return counts.failed === 0 && counts.passed > 0;
}

/** One boot: a fresh kernel for each runtime, so that neither sees what the other left behind. */
async function runTestsIn(
  system: System,
  runtime: Runtime,
  files: readonly string[],
  options: Options,
  output: string,
): Promise<readonly TestResult[]> {
  const folder = join(output, `${system.label}-${runtime}`);
  const job = jobPreamble(system) + testJob(runtime, files, options.fileTimeoutSeconds);
  const result = await bootJob(system, folder, job, options);
  const tests = [...collect(folder, files), ...guestFailure(result, folder)];
  const title = `${system.label} (${system.release}) ${runtime}`;
  console.log(`${title}: ${describeCounts(count(tests))} in ${result.seconds.toFixed(1)} s`);
  for (const test of tests) {
    if (test.outcome === "failed") console.log(describeFailure(test));
  }
  return tests;
}

/** The kernels beside each other, each on the first of the runtimes. */
async function crashAll(
  machines: readonly System[],
  crashes: number,
  options: Options,
  output: string,
): Promise<boolean> {
  const waiting = [...machines];
  const all: TestResult[] = [];
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      all.push(...await runCrashes(next, options.runtimes[0]!, crashes, output, options));
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, worker));
  for (const test of all) if (test.outcome === "failed") console.log(describeFailure(test));
  const counts = count(all);
  console.log(describeCounts(counts));
  return counts.failed === 0 && counts.passed > 0;
}

async function runShellJob(
  machines: readonly System[],
  script: string,
  options: Options,
  output: string,
): Promise<boolean> {
  let good = true;
  for (const system of machines) {
    const folder = join(output, `${system.label}-job`);
    const job = jobPreamble(system) + readFileSync(script, "utf8");
    const result = await bootJob(system, folder, job, options);
    const title = `${system.label} (${system.release})`;
    console.log(`--- ${title}: status ${result.status ?? "unknown"} after ${result.seconds.toFixed(1)} s`);
    console.log(readText(join(folder, "job.out")));
    for (const test of guestFailure(result, folder)) console.log(describeFailure(test));
    good &&= result.status === 0;
  }
  return good;
}

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  // exit() also ends the virtual machine
  process.on(signal, () => process.exit(status));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof RunnerError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
