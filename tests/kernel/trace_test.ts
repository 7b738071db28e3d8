import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import type { Trace } from "../../lib/trace/mod.ts";
import { cnctl, type Run } from "../support/cnctl.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { commandOf, readTrace } from "../support/recordings.ts";

const skip = await whyNoProcessEvents();
const folder = mkdtempSync(join(tmpdir(), "trace-"));
after(() => rmSync(folder, { recursive: true }));

/** Traces a command; again if other programs' events have crowded out some of it. */
async function traced(name: string, args: readonly string[], flags: readonly string[] = []): Promise<{
  run: Run;
  status: number | string;
  trace: Trace;
}> {
  const file = join(folder, name);
  for (let tries = 4;; tries--) {
    const run = cnctl(["trace", "-o", file, ...flags, "--", ...args]);
    const status = await run.ended;
    const trace = readTrace(file);
    if (trace.losses.length === 0 || tries === 0) return { run, status, trace };
  }
}

test("a trace has every process of the command, from its first exec to its exit", { skip }, async () => {
  const script = 'echo out; /bin/true; (/bin/sh -c "exit 3"); sh -c "kill -9 \\$\\$"; exit 5';
  const { run, status, trace } = await traced("tree", ["/bin/sh", "-c", script]);
  assert.equal(status, 5);
  assert.equal(run.said.out, "out\n");
  assert.equal(trace.status, 5);
  assert.equal(trace.complete, true);
  const commands = trace.processes.map(commandOf);
  assert.equal(commands[0], `/bin/sh -c ${script}`);
  assert(commands.includes("/bin/true") && commands.includes("/bin/sh -c exit 3"), commands.join(" | "));
  assert.equal(trace.processes[0]!.exitCode, 5);
  assert(trace.processes.some(({ exitCode }) => exitCode === 3));
  assert(trace.processes.some(({ signal }) => signal === "SIGKILL"));
  assert(
    trace.processes.slice(1).every(({ parent, endNs, startNs }) => parent !== undefined && endNs > startNs),
  );
  assert.match(run.said.error, /exit status 5\n[^]*Programs\n/);
});

test("a report that cannot be written is an error", { skip }, async () => {
  const file = join(folder, "unwritten");
  assert.equal(await cnctl(["trace", "-o", file, "--", "/bin/true"]).ended, 0);
  const full = openSync("/dev/full", "w");
  try {
    for (const format of ["text", "html"]) {
      const run = cnctl(["report", "--format", format, file], { stdio: ["ignore", full, "pipe"] });
      assert.equal(await run.ended, 1);
      assert.match(run.said.error, /^cnctl: Cannot write the output: ENOSPC$/m);
    }
  } finally {
    closeSync(full);
  }
});

test("the exit status is that of the command, or says why it was not started", { skip }, async () => {
  assert.equal((await traced("signal", ["/bin/sh", "-c", "kill -TERM $$"])).status, 143);
  for (
    const [file, status, why] of [["nosuchcommand", 127, /no such program/], [
      "/etc",
      126,
      /not executable/,
    ]] as const
  ) {
    const run = cnctl(["trace", "--", file]);
    assert.equal(await run.ended, status);
    assert.match(run.said.error, why);
  }
});

test("a recording is its owner's alone", { skip }, () => {
  assert.equal(statSync(join(folder, "tree")).mode & 0o777, 0o600);
});

test("with --wait what the command leaves running is followed", { skip }, async () => {
  const { trace } = await traced("wait", ["/bin/sh", "-c", "sleep 0.3 & exit 0"], ["--wait"]);
  const sleep = trace.processes.find(({ images }) => images.at(-1)!.comm === "sleep")!;
  assert.equal(sleep.running, false);
  assert(sleep.endNs - sleep.startNs > 250_000_000);
});

test("a disk that is full ends the recording, not the command", { skip }, async () => {
  const run = cnctl(["trace", "-o", "/dev/full", "--", "/bin/sh", "-c", "exit 4"]);
  assert.equal(await run.ended, 4);
  assert.match(run.said.error, /Cannot write \/dev\/full any more: ENOSPC; the command goes on/);
});

test("SIGTERM reaches the command, and its end is recorded", { skip }, async () => {
  const file = join(folder, "term");
  const run = cnctl([
    "trace",
    "-o",
    file,
    "--",
    "/bin/sh",
    "-c",
    "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done",
  ]);
  await eventually("the command runs", () => run.said.out !== "");
  process.kill(run.child.pid!, "SIGTERM");
  assert.equal(await run.ended, 7);
  assert.equal(readTrace(file).status, 7);
});

test("--html writes a page beside the report", { skip }, async () => {
  const html = join(folder, "page.html");
  const { run, status } = await traced("html", ["/bin/sh", "-c", "exit 3"], ["--html", html]);
  assert.equal(status, 3);
  assert.match(run.said.error, /exit status 3/);
  assert.match(readFileSync(html, "utf8"), /^<!DOCTYPE html>[^]*"exit 3"/);
});

test("reports are made of a recording, and what is none is refused", { skip }, async () => {
  for (
    const [format, start] of [["text", "/bin/sh"], ["markdown", "### "], ["folded", "sh"], [
      "json",
      '{"header":',
    ], [
      "html",
      "<!DOCTYPE html>",
    ]] as const
  ) {
    const run = cnctl(["report", join(folder, "tree"), "--format", format]);
    assert.equal(await run.ended, 0, run.said.error);
    assert(run.said.out.startsWith(start), `${format}: ${run.said.out.slice(0, 80)}`);
  }
  const output = join(folder, "perfetto");
  assert.equal(await cnctl(["report", join(folder, "tree"), "-f", "perfetto", "-o", output]).ended, 0);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  assert(readFileSync(output).length > 500);
  for (
    const [file, why] of [["/nonexistent", /Cannot read \/nonexistent: ENOENT/], [
      "/etc/passwd",
      /not that of a trace/,
    ]] as const
  ) {
    const run = cnctl(["report", file]);
    assert.equal(await run.ended, 1);
    assert.match(run.said.error, why);
  }
});

test("two recordings are compared, one may be compressed, and secrets hidden", { skip }, async () => {
  const file = join(folder, "tree");
  const compressed = join(folder, "tree.gz");
  writeFileSync(compressed, gzipSync(readFileSync(file, "utf8").replaceAll("/bin/true", "--token=hunter2")));
  const run = cnctl(["report", "--diff", "--redact", file, compressed]);
  assert.equal(await run.ended, 0, run.said.error);
  assert.match(run.said.out, /^Before: \/bin\/sh [^]*\nAfter: \/bin\/sh /);
  assert(!run.said.out.includes("hunter2"), run.said.out);
  for (const args of [["--diff", file], [file, file], ["--diff", "-f", "folded", file, file], []]) {
    assert.equal(await cnctl(["report", ...args]).ended, 2, args.join(" "));
  }
});
