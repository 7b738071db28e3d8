/**
 * The one gate: format, lint, documentation, types, tests on every runtime, documentation examples, packaging.
 *
 *   npm test                     everything
 *   npm test -- --only bun       the steps whose name holds "bun"
 *   npm test -- --files proc     of the tests only the files whose path holds "proc"
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { filesBelow, testFiles } from "./support/files.ts";
import { binary, root } from "./support/runtimes.ts";
import { findProgram } from "./support/programs.ts";
import { parseJunit, type TestResult } from "./support/junit.ts";

const { values: options } = parseArgs({
  options: { only: { type: "string", default: "" }, files: { type: "string", default: "" } },
});

/** One step; a step that runs tests names the file in which its runtime reports them. */
interface Step {
  readonly name: string;
  readonly command: readonly string[];
  readonly report?: string;
  readonly limitMs?: number;
  /** Variables of its environment beside ours. */
  readonly env?: Readonly<Record<string, string>>;
  /** It fails where its output has this, whatever its status. */
  readonly forbidden?: RegExp;
  /** Why it cannot run here, which counts as skipped. */
  readonly skip?: string | undefined;
}

const scratch = mkdtempSync(join(tmpdir(), "kernel-connector-gate-"));
const files = testFiles().filter((file) => file.includes(options.files));
const [bun, deno, node] = [binary("bun"), binary("deno"), binary("node")];
const module = (path: string): string => join(root, "node_modules", path);
const report = (name: string): string => join(scratch, `${name}.xml`);
const testLimitMs = 20 * 60_000;

const steps: readonly Step[] = [
  { name: "format", command: [deno, "fmt", "--check"] },
  { name: "lint", command: [deno, "lint"] },
  { name: "documentation", command: [deno, "doc", "--lint", ...entryPoints()] },
  {
    name: "API reference",
    command: [deno, "doc", "--no-npm", "--html", "--name=kernel-connector"]
      .concat([`--output=${join(scratch, "reference")}`, ...entryPoints()]),
    forbidden: /warning|error/i,
  },
  { name: "unused", command: [node, module("knip/bin/knip.js"), "--no-progress"] },
  {
    name: "used by tests only",
    command: [node, module("knip/bin/knip.js"), "--no-progress", "--production"],
  },
  { name: "types", command: [binary("tsc"), "-p", "."] },
  { name: "types in deno", command: [deno, "check", ...checkedByDeno()] },
  { name: "build", command: [node, "scripts/build.mjs"] },
  { name: "package", command: [node, module("publint/src/cli.js"), "--strict"] },
  {
    name: "types of the package",
    command: [node, module("@arethetypeswrong/cli/dist/index.js"), "--pack", ".", "--profile", "esm-only"],
  },
  { name: "publish", command: [deno, "publish", "--dry-run", "--allow-dirty"] },
  {
    name: "examples in the documentation",
    command: [deno, "test", "-A", "--doc", "--junit-path", report("doc"), ...documented()],
    report: report("doc"),
    limitMs: testLimitMs,
  },
  {
    name: "tests on bun",
    command: [bun, "test", "--timeout=120000", "--reporter=junit", `--reporter-outfile=${report("bun")}`]
      .concat(files.map((file) => `./${file}`)),
    report: report("bun"),
    limitMs: testLimitMs,
  },
  {
    name: "tests on deno",
    command: [deno, "test", "-A", "--no-check", "--junit-path", report("deno"), ...files],
    report: report("deno"),
    limitMs: testLimitMs,
  },
  {
    name: "tests on node",
    command: [node, "--disable-warning=ExperimentalWarning", "--test", "--test-concurrency=1"]
      .concat(["--test-reporter=junit", `--test-reporter-destination=${report("node")}`, ...files]),
    report: report("node"),
    limitMs: testLimitMs,
    // The tests start the command hundreds of times; two thirds of its start are spent on compiling it.
    env: { NODE_COMPILE_CACHE: join(scratch, "compile-cache") },
  },
  {
    name: "tests for Deno alone",
    command: [deno, "test", "-A", "--junit-path", report("own"), "tests/deno/"],
    report: report("own"),
    skip: whyNoJsr(),
  },
  // That it runs and counts right; how fast, nobody asks here.
  {
    name: "benchmark in its shortest form",
    command: [bun, "bench/run.ts", "--quick"],
    skip: findProgram("gcc") === undefined ? "there is no gcc (Debian: gcc libc6-dev)" : undefined,
  },
];

/**
 * All but Deno's own tests, which need @std/assert and are checked when they run, and the page of HTML reports, whose types
 * are a browser's.
 */
function checkedByDeno(): string[] {
  const folders = ["ffi", "lib", "examples", "bench", "tests"];
  return ["mod.ts", ...folders.flatMap((folder) => filesBelow(folder, (path) => path.endsWith(".ts")))]
    .filter((path) => !/^tests\/deno\/|^lib\/trace\/page\//.test(path));
}

/** Why @std/assert, as deno.json names it, cannot be had. */
function whyNoJsr(): string | undefined {
  if (!"tests for Deno alone".includes(options.only)) return undefined;
  const env = { ...process.env, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" };
  const { status } = spawnSync(deno, ["eval", 'import "@std/assert";'], { cwd: root, env, timeout: 60_000 });
  return status === 0 ? undefined : "@std/assert cannot be fetched: JSR is not reachable";
}

/** What is published for imports: the root and its sub-paths. */
function entryPoints(): string[] {
  const { exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as {
    readonly exports: Readonly<Record<string, string>>;
  };
  const { "./cnctl": _command, ...imported } = exports;
  return Object.values(imported);
}

/** The files whose documentation holds examples: the entry points, and all that they re-export from. */
function documented(): string[] {
  const files = entryPoints().flatMap((path) => [
    path,
    ...[...readFileSync(join(root, path), "utf8").matchAll(/from "(\.[^"]+)"/g)]
      .map((match) => join(dirname(path), match[1]!)),
  ]);
  return [...new Set(files)];
}

/** What the end of the output repeats, since a long one is often seen from its end only. */
const failures: { readonly step: string; readonly name: string; readonly message: string }[] = [];
/** The steps in which each test was skipped. */
const skippedIn = new Map<string, string[]>();
let passed = 0;
let failed = 0;
let skipped = 0;
let current: ChildProcess | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    current?.kill("SIGKILL");
    rmSync(scratch, { recursive: true, force: true });
    process.exit(1);
  });
}

for (const step of steps.filter(({ name }) => name.includes(options.only))) {
  if (step.skip !== undefined) {
    skipped++;
    console.log(`skip   ${step.name}: ${step.skip}`);
    continue;
  }
  const started = performance.now();
  const { status: exitStatus, output } = await run(step);
  const status = exitStatus === 0 && step.forbidden?.test(output) ? 1 : exitStatus;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const results = step.report === undefined ? [] : readResults(step.report);
  const failedTests = results.filter(({ outcome }) => outcome === "failed");
  const skippedTests = results.filter(({ outcome }) => outcome === "skipped");
  failures.push(...failedTests.map(({ name, message }) => ({ step: step.name, name, message })));
  for (const { name } of skippedTests) skippedIn.set(name, [...skippedIn.get(name) ?? [], step.name]);
  // A runtime that died, or that failed outside of any test, is a failure too.
  const failedOutside = failedTests.length === 0 &&
    (status !== 0 || (step.report !== undefined && results.length === 0));
  if (failedOutside) {
    failures.push({ step: step.name, name: "the step itself", message: output.slice(-6000) });
  }
  passed += results.length - failedTests.length - skippedTests.length;
  if (step.report === undefined && !failedOutside) passed++;
  failed += failedTests.length + (failedOutside ? 1 : 0);
  skipped += skippedTests.length;
  const verdict = failedTests.length === 0 && !failedOutside ? "ok" : "FAILED";
  const counts = step.report === undefined ? "" : `, ${results.length} tests, ${skippedTests.length} skipped`;
  console.log(`${verdict.padEnd(6)} ${step.name} (${seconds} s${counts})`);
  for (const { name } of failedTests) console.log(`       failed: ${name}`);
}
rmSync(scratch, { recursive: true, force: true });
for (const [name, where] of skippedIn) console.log(`skipped: ${name} (${where.join(", ")})`);
for (const { step, name, message } of failures) {
  console.log(`failure in ${step}: ${name}\n${indent(message)}`);
}
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

function run(step: Step): Promise<{ status: number; output: string }> {
  const [program, ...args] = step.command;
  // No colour codes in what is shown, and Deno's own look for a newer version would want the network.
  const env = {
    ...process.env,
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
    CONNECTOR_KERNEL_TESTS: "required",
    ...step.env,
  };
  return new Promise((resolve) => {
    let output = "";
    const child = spawn(program!, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
    current = child;
    const keep = (chunk: Uint8Array): void => {
      output = (output + new TextDecoder().decode(chunk)).slice(-200_000);
    };
    child.stdout!.on("data", keep);
    child.stderr!.on("data", keep);
    const limit = setTimeout(() => {
      output += "\nended: it took too long";
      child.kill("SIGKILL");
    }, step.limitMs ?? 5 * 60_000);
    child.on("error", (error) => output += `\n${error}`);
    child.on("close", (code) => {
      clearTimeout(limit);
      resolve({ status: code ?? 1, output });
    });
  });
}

function readResults(path: string): readonly TestResult[] {
  try {
    return parseJunit(readFileSync(path, "utf8"));
  } catch {
    return [];
  }
}

function indent(text: string): string {
  return text.split("\n").map((line) => `         ${line}`).join("\n");
}
