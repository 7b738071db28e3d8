import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import type { TraceProcess } from "../../lib/trace/mod.ts";
import { cnctl, type Run } from "../support/cnctl.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { findProgram } from "../support/programs.ts";
import { commandOf, despiteLosses, readTrace } from "../support/recordings.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { Tmux, whyNoTmux } from "../support/tmux.ts";

const skip = await whyNoProcessEvents();
const asRoot = skip !== false ? skip : process.getuid?.() !== 0 && "needs root";
const folder = mkdtempSync(join(tmpdir(), "trace-truth-"));
after(() => rmSync(folder, { recursive: true }));
chmodSync(folder, 0o755);

/** Why some programs cannot be run here, or false. */
function missing(packages: Readonly<Record<string, string>>): string | false {
  if (asRoot !== false) return asRoot;
  const names = Object.keys(packages).filter((name) => findProgram(name) === undefined);
  return names.length > 0 && `not installed (Debian): ${names.map((name) => packages[name]).join(" ")}`;
}

async function trace(
  file: string,
  flags: readonly string[],
  args: readonly string[],
  cwd = folder,
): Promise<Run> {
  const run = cnctl(["trace", "-o", file, "--report", "none", ...flags, "--", ...args], { cwd });
  await run.ended;
  return run;
}

/** What was executed, and how each process ended, in an order that does not depend on time. */
function summary(processes: readonly TraceProcess[]): string[] {
  return processes.map((process) => {
    const programs = process.images.filter(({ forked }) => !forked).map(({ commandLine }) =>
      normal(commandLine!)
    );
    return `${programs.join(" => ")} | ${process.signal ?? process.exitCode}`;
  }).sort();
}

const normal = (words: readonly string[]): string => words.join(" ").replace(/\/tmp\/cc\w+/g, "/tmp/cc*");

/** The same out of what `strace -ff` has written, a file for each process. */
function straceSummary(output: string): string[] {
  return readdirSync(output).map((name) => {
    const lines = readFileSync(join(output, name), "utf8").split("\n");
    const programs = lines.flatMap((line) => {
      const match = /^execve\(".*?", (\[.*?\]), .* = 0$/.exec(line);
      return match === null ? [] : [normal(JSON.parse(match[1]!))];
    });
    const end = lines.map((line) => /^\+\+\+ (?:exited with (\d+)|killed by (\w+))/.exec(line)).find((
      match,
    ) => match);
    return `${programs.join(" => ")} | ${end?.[2] ?? end?.[1]}`;
  }).sort();
}

const noMake = missing({ make: "make", gcc: "gcc", strace: "strace" });

test("make -j2: every exec and exit status as strace has them", { skip: noMake }, async () => {
  // By its path: Deno would look it up and pass that as the first argument.
  const make = [findProgram("make")!, "-j2"];
  const project = join(folder, "project");
  mkdirSync(project);
  for (let i = 1; i <= 4; i++) {
    writeFileSync(join(project, `f${i}.c`), `int f${i}(int x) { return x * ${i}; }\n`);
  }
  writeFileSync(join(project, "main.c"), "int f1(int); int main(void) { return f1(1) - 1; }\n");
  const objects = "main.o f1.o f2.o f3.o f4.o";
  writeFileSync(
    join(project, "Makefile"),
    `prog: ${objects}\n\tcc -o $@ ${objects}\n\t./prog > out; test -e out\n\t-(exit 3)\n` +
      "%.o: %.c\n\tcc -c -o $@ $<\nclean:\n\trm -f *.o prog out\n",
  );
  const clean = (): unknown => spawnSync("make", ["clean"], { cwd: project });
  const output = join(folder, "strace");
  mkdirSync(output);
  const straced = spawnSync(
    "strace",
    [
      "-ff",
      "-q",
      "-s",
      "100000",
      "-e",
      "trace=execve",
      "-e",
      "signal=none",
      "-o",
      join(output, "x"),
      ...make,
    ],
    { cwd: project, encoding: "utf8" },
  );
  assert.equal(straced.status, 0, straced.stderr);
  const expected = straceSummary(output);
  const file = join(folder, "make");
  await despiteLosses(file, async () => {
    clean();
    await trace(file, [], make, project);
    assert.deepEqual(summary(readTrace(file).processes), expected);
  });
});

test("a daemon that has forked twice and left its session is followed", { skip }, async () => {
  const file = join(folder, "daemon");
  const daemon = "(setsid sh -c '(sleep 0.3; exit 9) &' &); exit 0";
  await despiteLosses(file, async () => {
    const run = await trace(file, ["--wait"], ["/bin/sh", "-c", daemon]);
    assert.equal(await run.ended, 0, run.said.error);
    const { processes } = readTrace(file);
    const sleep = processes.find((process) => commandOf(process) === "sleep 0.3")!;
    let [depth, top] = [0, sleep];
    for (; top.parent !== undefined; top = top.parent) depth++;
    assert.equal(top, processes[0]);
    assert(depth >= 3, String(depth));
    assert(processes.some(({ exitCode }) => exitCode === 9));
    assert(processes.every(({ running }) => !running));
  });
});

test(
  "a program that changes its user is followed",
  { skip: missing({ setpriv: "util-linux" }) },
  async () => {
    const file = join(folder, "setuid");
    const program = join(folder, "suid-sh");
    copyFileSync("/bin/true", program);
    chmodSync(program, 0o4755);
    await despiteLosses(file, async () => {
      const run = await trace(file, ["--user", "nobody"], ["/bin/sh", "-c", `${program}; exit 5`], "/");
      assert.equal(await run.ended, 5, run.said.error);
      const suid = readTrace(file).processes.find((process) => commandOf(process) === program)!;
      assert.equal(suid.exitCode, 0);
      assert.equal(suid.running, false);
    });
  },
);

test(
  "1,000 programs of a millisecond: each with its arguments, status and usage",
  { skip: asRoot },
  async () => {
    const file = join(folder, "storm");
    const script = "i=0; while [ $i -lt 1000 ]; do /bin/true $i; i=$((i + 1)); done";
    await despiteLosses(file, async () => {
      const run = await trace(file, [], ["/bin/sh", "-c", script]);
      assert.equal(await run.ended, 0, run.said.error);
      const { processes, complete } = readTrace(file);
      assert.equal(complete, true);
      assert.equal(processes.length, 1001);
      const [, ...short] = processes;
      const usageKnown = processes[0]!.usage !== undefined;
      for (const [i, process] of short.entries()) {
        assert.equal(process.exitCode, 0);
        assert.equal(process.usage !== undefined, usageKnown);
        const { commandLine } = process.images.at(-1)!;
        if (commandLine !== undefined) assert.deepEqual(commandLine, ["/bin/true", String(i)]);
      }
    });
  },
);

const noTmux = skip !== false ? skip : whyNoTmux();

test("Ctrl-Z stops the command, fg continues it, Ctrl-C ends it", { skip: noTmux }, async () => {
  const file = join(folder, "stopped");
  const cnctlCommand = command(runtime, join(root, "lib/cli/main.ts")).join(" ");
  const script =
    `trap "echo continued" CONT; trap "echo interrupted; exit 7" INT; echo running; while :; do sleep 0.1; done`;
  writeFileSync(join(folder, "loop.sh"), script);
  using terminal = new Tmux(`exec env PS1='> ' bash --norc --noprofile -i`, 100, 30);
  await terminal.shows(/^>/m);
  terminal.type(
    `${cnctlCommand} trace -o ${file} --report none -- sh ${folder}/loop.sh; echo status=$?`,
    "Enter",
  );
  await terminal.shows(/^running$/m);
  terminal.type("C-z");
  await terminal.shows(/Stopped/);
  terminal.type("fg", "Enter");
  await terminal.shows(/^continued$/m);
  terminal.type("C-c");
  await terminal.shows(/interrupted$/m);
  await terminal.shows(/^>\s*$/m);
  assert.equal(readTrace(file).status, 7);
});
