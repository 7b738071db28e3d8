// Boots Debian kernels under QEMU and runs the kernel tests inside, on Bun and on Deno.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { forget, sweep } from "./cache.ts";
import { initramfs } from "./initramfs.ts";
import { jobPreamble, testFiles, testJob } from "./job.ts";
import type { TestResult } from "./junit.ts";
import { kernelEntry, kernelFiles } from "./kernel_files.ts";
import { BOOT_MODULES, type Kernel } from "./kernels.ts";
import { buildModules, buildPrograms } from "./module_build.ts";
import { inOrder } from "./modules.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { makeOutputFolder } from "./output.ts";
import { requirePrograms, RunnerError, tail } from "./programs.ts";
import { boot, type BootResult } from "./qemu.ts";
import { collect, consoleEnd, count, describeCounts, describeFailure, readText } from "./results.ts";
import { tools, type Tools } from "./tools.ts";

interface Machine {
  readonly tools: Tools;
  readonly label: string;
  /** As tests see it: "6.1". */
  readonly version: string;
  readonly release: string;
  readonly vmlinux: string;
  readonly initramfs: string;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  checkHost();
  const files = options.shellJob === undefined ? testFiles(options.only) : [];
  sweep();
  const output = makeOutputFolder();
  const started = performance.now();
  const machines = options.kernels.map((kernel) => prepare(kernel, options, output));
  console.log(`prepared in ${seconds(performance.now() - started)}; output in ${output}`);
  const good = options.shellJob === undefined
    ? await runTests(machines, files, options, output)
    : await runShellJob(machines, options.shellJob, options, output);
  if (good && !options.keep) rmSync(output, { recursive: true });
  else console.error(`output kept in ${output}`);
  return good ? 0 : 1;
}

function checkHost(): void {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new RunnerError("Cannot boot the virtual machines: they share programs with an x86-64 Linux host");
  }
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

function prepare(kernel: Kernel, options: Options, output: string): Machine {
  if (options.update) forget(kernelEntry(kernel));
  const files = kernelFiles(kernel);
  const depends = [...files.depends].map(([name, needs]) => `${name}: ${needs.join(" ")}\n`).join("");
  const image = join(output, `${kernel.label}.cpio`);
  const machineTools = tools();
  writeFileSync(
    image,
    initramfs({
      busybox: machineTools.busybox,
      init: join(import.meta.dirname, "guest/init.sh"),
      modules: [
        ...[...files.depends.keys()].map((name) => join(files.moduleFolder, `${name}.ko`)),
        ...ownModules(kernel, files),
      ],
      programs: buildPrograms(),
      bootModules: inOrder(BOOT_MODULES, files.depends),
      depends: `${depends}w1_soft: wire\n`,
    }),
  );
  return {
    tools: machineTools,
    label: kernel.label,
    version: /^\d+\.\d+/.exec(files.release)?.[0] ?? files.release,
    release: files.release,
    vmlinux: files.vmlinux,
    initramfs: image,
  };
}

function ownModules(kernel: Kernel, files: ReturnType<typeof kernelFiles>): readonly string[] {
  try {
    if (files.headers === undefined) throw new RunnerError("Debian has no headers for it any more");
    return buildModules(files, files.headers);
  } catch (error) {
    if (kernel.modules === "required" || !(error instanceof RunnerError)) throw error;
    console.log(`${kernel.label}: without our own modules: ${cause(error.message)}`);
    return [];
  }
}

/** The line of a build's output that tells most. */
function cause(message: string): string {
  const lines = message.split("\n");
  return lines.find((line) => /error:|not found|unrecognized/.test(line)) ?? tail(message, 1);
}

async function runTests(
  machines: readonly Machine[],
  files: readonly string[],
  options: Options,
  output: string,
): Promise<boolean> {
  const all: TestResult[] = [];
  for (const machine of machines) {
    for (const runtime of options.runtimes) {
      const folder = join(output, `${machine.label}-${runtime}`);
      const job = jobPreamble(machine.version) + testJob(runtime, files, options.fileTimeoutSeconds);
      const result = await bootWithRetry(machine, folder, job, options);
      const tests = [...collect(folder, files), ...guestFailure(result, folder, options)];
      all.push(...tests);
      const title = `${machine.label} (${machine.release}) ${runtime}`;
      console.log(`${title}: ${describeCounts(count(tests))} in ${seconds(result.seconds * 1000)}`);
      for (const test of tests) {
        if (test.outcome === "failed") console.log(describeFailure(test));
      }
    }
  }
  const counts = count(all);
  console.log(describeCounts(counts));
  return counts.failed === 0 && counts.passed > 0;
}

async function runShellJob(
  machines: readonly Machine[],
  script: string,
  options: Options,
  output: string,
): Promise<boolean> {
  let good = true;
  for (const machine of machines) {
    const folder = join(output, `${machine.label}-job`);
    const job = jobPreamble(machine.version) + readFileSync(script, "utf8");
    const result = await bootWithRetry(machine, folder, job, options);
    console.log(`--- ${machine.label} (${machine.release}): status ${result.status} after ${result.seconds.toFixed(1)} s`);
    console.log(readText(join(folder, "job.out")));
    for (const test of guestFailure(result, folder, options)) console.log(describeFailure(test));
    good &&= result.status === 0;
  }
  return good;
}

/** A guest that dies without a result gets a second chance, since emulation now and then fails a boot. */
async function bootWithRetry(machine: Machine, folder: string, job: string, options: Options): Promise<BootResult> {
  const one = (): Promise<BootResult> =>
    boot({ ...machine, folder, job, timeoutSeconds: options.timeoutSeconds });
  const first = await one();
  if (first.status !== undefined || first.timedOut) return first;
  console.log(`${machine.label}: the guest ended without a result after ${seconds(first.seconds * 1000)}; once more`);
  console.log(consoleEnd(readText(join(folder, "console.log"))));
  rmSync(folder, { recursive: true });
  return await one();
}

/** A guest without a result counts as a failed test that shows the end of its console. */
function guestFailure(result: BootResult, folder: string, options: Options): readonly TestResult[] {
  if (result.status !== undefined) return [];
  const name = result.timedOut
    ? `the guest did not end within ${options.timeoutSeconds} s`
    : "the guest ended without a result";
  const message = ["qemu.log", "job.out", "console.log"].map((file) => {
    const text = consoleEnd(readText(join(folder, file)));
    return text === "" ? "" : `${file}:\n${text}\n`;
  }).join("");
  return [{ name, outcome: "failed", message }];
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  // leaving through exit() ends the virtual machine, too
  process.on(signal, () => process.exit(status));
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof RunnerError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
