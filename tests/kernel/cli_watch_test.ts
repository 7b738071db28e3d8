import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** Runs a shell command, waits for its exit, and returns its pid. */
async function shell(script: string): Promise<number> {
  const child = spawn("/bin/sh", ["-c", `sleep 0.1; ${script}`], { stdio: "ignore" });
  await new Promise((resolve) => child.on("close", resolve));
  return child.pid!;
}

/** Resolves once the watch is open: the header follows the kernel's acknowledgement. */
async function started(run: Run): Promise<void> {
  await eventually("the header", () => run.said.out.includes("\n"), LIMIT_MS);
}

/** The rows of a process, without the header. */
function rowsOf(run: Run, pid: number): string[] {
  return run.said.out.split("\n").filter((line) => new RegExp(`^\\S+ \\w+ +${pid} `).test(line));
}

test("cnctl watch shows the start and end of a command, and a summary at Ctrl-C", { skip }, async () => {
  const run = cnctl(["watch"]);
  await started(run);
  // It waits for a line, so that it is still there when its command line is read, however busy the machine is.
  const mark = `cnctl-test-${process.pid}-${Math.random().toString(36).slice(2)}`;
  const child = spawn("/bin/sh", ["-c", "read line; exit 3", mark], { stdio: ["pipe", "ignore", "ignore"] });
  const pid = child.pid!;
  await eventually("the exec", () => rowsOf(run, pid).some((row) => /^\S+ exec /.test(row)), LIMIT_MS);
  child.stdin!.end("\n");
  await eventually("the exit", () => rowsOf(run, pid).some((row) => /^\S+ exit /.test(row)), LIMIT_MS);
  end(run, "SIGINT");
  assert.equal(await run.ended, 0);
  const [fork, exec, exit] = rowsOf(run, pid);
  assert.match(fork!, new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} fork +${pid} \\S+ +parent ${process.pid} `));
  assert.match(
    exec!,
    new RegExp(` exec +${pid} .* /bin/sh -c 'read line; exit 3' ${mark}$`),
  );
  assert.match(
    exit!,
    new RegExp(` exit +${pid} \\S+ +3, parent ${process.pid} .* [\\d.]+m?s /bin/sh -c .*${mark}$`),
  );
  assert.match(run.said.out, /^Time +Event +PID User +Info +Duration Command\n/);
  assert.match(
    run.said.error,
    /^\d+ events in [\d.]+ s \([\d.]+\/s\): .*[;,] (none|\d+) lost( before them)?\n$/,
    "only the summary",
  );
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(run.said.out, /\x1b/, "no colour in a pipe");
});

test("cnctl watch names the signal, and shows threads only on request", { skip }, async () => {
  const [plain, threads] = [
    cnctl(["watch"]),
    cnctl(["watch", "--threads", "--no-header", "--events", "exit"]),
  ];
  await started(plain);
  // Without a header only the first rows show that it is open.
  const pids: number[] = [];
  const shown = (): number | undefined => pids.find((pid) => rowsOf(threads, pid).length > 0);
  const deadline = performance.now() + LIMIT_MS;
  while (shown() === undefined && performance.now() < deadline) pids.push(await shell("kill -9 $$"));
  const watched = shown();
  assert(watched !== undefined, "the second watch saw nothing");
  await eventually(
    "the exit",
    () => rowsOf(plain, watched).some((row) => / SIGKILL\b/.test(row)),
    LIMIT_MS,
  );
  // The watching runtimes have threads; only their own exits are counted.
  end(plain, "SIGTERM");
  assert.equal(await plain.ended, 0);
  await eventually("a thread's end", () => / exit +\d+ \S+ +tid \d+/.test(threads.said.out), LIMIT_MS);
  end(threads, "SIGHUP");
  assert.equal(await threads.ended, 0);
  assert.doesNotMatch(plain.said.out, / tid \d+/);
  assert.doesNotMatch(threads.said.out, /^\S+ (fork|exec|thread) /m);
  assert.match(rowsOf(threads, watched)[0]!, / SIGKILL\b/);
});

test("cnctl watch --json writes objects with the library's names", { skip }, async () => {
  const run = cnctl(["watch", "--json", "--events", "all"]);
  let seen: Record<string, unknown>[] = [];
  // The first ones may have started before the watch was open; nothing is known about them.
  const isOurs = ({ type, exitCode, parentPid, process: info }: Record<string, unknown>): boolean =>
    type === "exit" && exitCode === 4 && parentPid === process.pid && info !== null;
  // JSON has no header that shows when the watch is open.
  await eventually("events of a command", () => {
    void shell("exit 4");
    const lines = run.said.out.slice(0, run.said.out.lastIndexOf("\n") + 1).split("\n").filter(Boolean);
    seen = lines.map((line) => JSON.parse(line));
    return seen.some(isOurs);
  }, LIMIT_MS);
  end(run, "SIGINT");
  assert.equal(await run.ended, 0);
  const exit = seen.find(isOurs)!;
  const info = exit.process as Record<string, unknown>;
  assert.equal(info.pid, exit.pid);
  assert.match(exit.timestampNs as string, /^\d+$/);
  assert(Math.abs(Date.parse(exit.time as string) - Date.now()) < LIMIT_MS, `time is ${exit.time}`);
  assert.deepEqual(Object.keys(exit).slice(0, 5), ["time", "type", "cpu", "seq", "timestampNs"]);
});

test("cnctl watch ends quietly when its reader has exited", { skip }, async () => {
  const run = cnctl(["watch"]);
  await started(run);
  run.child.stdout!.destroy();
  let over = false;
  void run.ended.then(() => over = true);
  while (!over) await shell("true");
  assert.equal(await run.ended, 0);
  assert.equal(run.said.error, "");
});

test("cnctl watch ends although its reader does not read", { skip }, async () => {
  const run = cnctl(["watch", "--json", "--events", "all"]);
  // Before it listens to the signal it would be killed.
  await eventually("a line", () => spawnSync("/bin/true").status === 0 && run.said.out !== "", LIMIT_MS);
  run.child.stdout!.removeAllListeners("data").pause();
  // More than the pipe and our own buffer hold.
  await Promise.all(Array.from({ length: 400 }, () => shell("true")));
  const left = new Promise((resolve) => run.child.on("exit", resolve));
  end(run, "SIGTERM");
  assert.equal(await left, 0);
  run.child.stdout!.destroy();
});

test(
  "cnctl watch counts the events of a filter whose processes could no longer be read",
  { skip },
  async () => {
    const run = cnctl([
      "watch",
      "--events",
      "exec",
      "--exec-records",
      "off",
      "--command",
      `no-such-${process.pid}`,
    ]);
    await started(run);
    // While the watch is stopped, these run and exit: nothing can be read of them afterwards.
    process.kill(run.child.pid!, "SIGSTOP");
    for (let i = 0; i < 5; i++) await shell("true");
    end(run, "SIGINT");
    process.kill(run.child.pid!, "SIGCONT");
    assert.equal(await run.ended, 0);
    const [, count] =
      /; (\d+) more may match: their process exited before it could be read; /.exec(run.said.error) ?? [];
    assert(Number(count) >= 5, run.said.error);
  },
);

test("cnctl watch ends by itself after --count rows or --seconds", { skip }, async () => {
  const run = cnctl(["watch", "--count", "2", "--no-header", "--color", "always", "--events", "exec,exit"]);
  let over = false;
  void run.ended.then(() => over = true);
  while (!over) await shell("exit 1");
  assert.equal(await run.ended, 0);
  const lines = run.said.out.split("\n");
  assert.equal(lines.length, 3, run.said.out);
  // deno-lint-ignore no-control-regex
  for (const line of lines.slice(0, 2)) assert.match(line, /^\x1b\[\d+m[^\x1b]+\x1b\[0m$/);
  assert.match(run.said.error, /^2 events in /);

  const timed = cnctl(["watch", "--seconds", "0.3", "--events", "sid"]);
  assert.equal(await timed.ended, 0);
  assert.match(timed.said.out, /^Time .*\n/);
  const [, seconds] = /^\d+ events? in ([\d.]+) s /.exec(timed.said.error) ?? [];
  assert(Number(seconds) >= 0.3, timed.said.error);
});

test("cnctl reports what it could not write", { skip }, async () => {
  for (const args of [["watch"], ["--help"], ["help", "watch"], ["--version"], ["completion", "bash"]]) {
    const full = openSync("/dev/full", "w");
    const run = cnctl(args, { stdio: ["ignore", full, "pipe"] });
    const status = await run.ended;
    closeSync(full);
    assert.equal(status, 1, args.join(" "));
    assert.match(run.said.error, /^cnctl: Cannot write the output: .*\n$/);
  }
});

test("cnctl rejects unknown arguments before it subscribes", async () => {
  const run = cnctl(["watch", "--events", "exce"]);
  assert.equal(await run.ended, 2);
  assert.equal(run.said.out, "");
  assert.match(run.said.error, /did you mean exec\?/);
  const flag = cnctl(["watch", "--jsno"]);
  assert.equal(await flag.ended, 2);
  assert.match(flag.said.error, /Did you mean --json\?/);
  const user = cnctl(["watch", "--user", "root,no-such-user"]);
  assert.equal(await user.ended, 2);
  assert.match(user.said.error, /has no user "no-such-user"/);
});
