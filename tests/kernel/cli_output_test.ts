import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();

/** Enough for a slow and loaded machine. */
const LIMIT_MS = 100_000;

/** Only our own events. */
const WATCH = ["watch", "--json", "--events", "fork,exec,exit", "--tree", String(process.pid)];

/** A named pipe that is read only when we read it. */
class Pipe implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "cnctl-output-"));
  readonly path = join(this.#folder, "pipe");
  readonly #own: number;
  /** For the child: its runtime may change the blocking mode of this open file, so it must not be ours. */
  readonly fd: number;
  text = "";
  readonly #decoder = new TextDecoder();

  constructor() {
    execFileSync("mkfifo", [this.path]);
    this.#own = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
    this.fd = openSync(this.path, constants.O_WRONLY);
  }

  /** Fills it, so that nothing more can be written. */
  fill(): void {
    const dd = spawnSync("dd", ["if=/dev/zero", `of=${this.path}`, "bs=4096", "oflag=nonblock"]);
    assert.match(String(dd.stderr), /temporarily unavailable/);
  }

  /** Reads what is in it now. */
  read(): string {
    const bytes = new Uint8Array(65_536);
    for (let i = 0; i < 1000; i++) {
      try {
        const count = readSync(this.#own, bytes);
        if (count === 0) break;
        this.text += this.#decoder.decode(bytes.slice(0, count), { stream: true });
      } catch {
        break; // EAGAIN
      }
    }
    return this.text;
  }

  [Symbol.dispose](): void {
    closeSync(this.fd);
    closeSync(this.#own);
    rmSync(this.#folder, { recursive: true });
  }
}

interface Run {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The output on standard error, if that is captured. */
  readonly errors: () => string;
  /** The exit status, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** Runs the command after the shell command `setup`, with its outputs on a pipe, or on one of ours. */
function cnctl(args: readonly string[], stdout: number | "pipe", stderr: number | "pipe", setup = ""): Run {
  const words = [...command(runtime, join(root, "lib/cli/main.ts")), ...args];
  const child = spawn("/bin/sh", ["-c", `${setup} exec "$@"`, "sh", ...words], {
    stdio: ["ignore", stdout, stderr],
  });
  let errors = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => errors += text);
  const timer = setTimeout(() => process.kill(child.pid!, "SIGKILL"), LIMIT_MS);
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on(stdout === "pipe" ? "close" : "exit", (status, signal) => {
      clearTimeout(timer);
      resolve(status ?? signal!);
    });
  });
  return { child, pid: child.pid!, errors: () => errors, ended };
}

/** Runs unique commands to their end, and returns their numbers. */
async function commands(count: number, mark: string): Promise<number[]> {
  const pids: number[] = [];
  for (let i = 0; i < count; i++) {
    const child = spawn("/bin/true", [mark], { stdio: "ignore" });
    await new Promise((resolve) => child.on("close", resolve));
    pids.push(child.pid!);
  }
  return pids;
}

function newMark(): string {
  return `cnctl-output-${process.pid}-${Math.random().toString(36).slice(2)}`;
}

/** Resolves once the watch is open and its first line has been read. */
async function started(text: () => string): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (!text().includes("\n")) {
    assert(performance.now() < end, "the watch shows nothing");
    await commands(1, newMark());
  }
}

const SUMMARY =
  /^(\d+) events? in [\d.]+ s \(\S+\/s\)(?:: ([^;]+))?(?:; (\d+) more received but not written: the output was not read)?;/;

/** Asserts that all lines are complete, and as many as the summary reports. */
function assertWhole(text: string, summary: string): { shown: number; notShown: number } {
  assert(text.endsWith("\n"), `the last line is cut: …${text.slice(-100)}: ${summary}`);
  const lines = text.slice(0, -1).split("\n").map((line) => JSON.parse(line) as { type: string });
  assert.match(summary, SUMMARY);
  const [, shown, kinds = "", notShown = "0"] = SUMMARY.exec(summary) ?? [];
  const events = lines.filter(({ type }) => type !== "lost");
  assert.equal(events.length, Number(shown), summary);
  for (const [, kind, count] of kinds.matchAll(/(\w+) (\d+)/g)) {
    assert.equal(events.filter(({ type }) => type === kind).length, Number(count), summary);
  }
  return { shown: Number(shown), notShown: Number(notShown) };
}

for (const end of ["SIGINT", "SIGTERM", "--seconds"] as const) {
  test(
    `lines that the reader of a pipe left unread are reported after ${end}, and lines are whole`,
    { skip },
    async () => {
      using pipe = new Pipe();
      const args = end === "--seconds" ? ["--seconds", "3"] : [];
      const run = cnctl(["watch", "--json", "--events", "fork,exec,exit", ...args], pipe.fd, "pipe");
      await started(() => pipe.read());
      await commands(300, newMark()); // much more than a pipe holds
      if (end !== "--seconds") process.kill(run.pid, end);
      assert.equal(await run.ended, 0);
      pipe.read();
      await eventually("the summary", () => run.errors().endsWith("\n"));
      const { shown, notShown } = assertWhole(pipe.text, run.errors());
      assert(shown > 0 && notShown > 0, run.errors());
      assert(end === "--seconds" || shown + notShown >= 600, run.errors());
    },
  );
}

test(
  "a socket that is not read gets whole lines as well, and --count ends early",
  { skip },
  async () => {
    const run = cnctl([...WATCH, "--count", "1000000"], "pipe", "pipe");
    let text = "";
    run.child.stdout!.setEncoding("utf8").on("data", (chunk: string) => text += chunk);
    await started(() => text);
    run.child.stdout!.pause();
    await commands(300, newMark());
    process.kill(run.pid, "SIGINT");
    await new Promise((resolve) => run.child.on("exit", resolve));
    run.child.stdout!.resume();
    assert.equal(await run.ended, 0);
    const { notShown } = assertWhole(text, run.errors());
    assert(notShown > 0, run.errors());
  },
);

test("events queued when the signal arrives are shown, and nothing is omitted", { skip }, async () => {
  for (let round = 0; round < 3; round++) {
    using pipe = new Pipe();
    const run = cnctl([...WATCH, "--events", "exit"], pipe.fd, "pipe");
    await started(() => pipe.read());
    process.kill(run.pid, "SIGSTOP");
    const pids = await commands(20, newMark());
    process.kill(run.pid, "SIGINT");
    process.kill(run.pid, "SIGCONT");
    assert.equal(await run.ended, 0);
    pipe.read();
    await eventually("the summary", () => run.errors().endsWith("\n"));
    assert.equal(assertWhole(pipe.text, run.errors()).notShown, 0);
    const shown = new Set([...pipe.text.matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid)));
    assert.deepEqual(pids.filter((pid) => !shown.has(pid)), [], run.errors());
  }
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends it even if both outputs are the same full pipe`, { skip }, async () => {
    using pipe = new Pipe();
    const run = cnctl(WATCH, pipe.fd, pipe.fd);
    await started(() => pipe.read());
    await commands(5, newMark());
    pipe.fill();
    await commands(50, newMark());
    process.kill(run.pid, signal);
    assert.equal(await run.ended, 0);
  });
}

test("a signal that was ignored at the start stays ignored", {
  skip: skip ||
    (runtime !== "bun" && "this runtime takes ignored signals back before a program can see them"),
}, async () => {
  using pipe = new Pipe();
  const run = cnctl(WATCH, pipe.fd, "pipe", 'trap "" HUP INT;');
  await started(() => pipe.read());
  process.kill(run.pid, "SIGHUP");
  process.kill(run.pid, "SIGINT");
  for (let round = 0; round < 3; round++) {
    pipe.text = "";
    await started(() => pipe.read());
  }
  process.kill(run.pid, "SIGTERM");
  assert.equal(await run.ended, 0);
});
