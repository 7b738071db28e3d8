import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { MAX_COMMAND_LINE_BYTES, ProcFs } from "../../lib/procfs/process.ts";
import type { ExecEvent, ExitEvent, ForkEvent, ProcessEvent } from "../../lib/processes/event.ts";
import { TableWatch, whyNoEvents } from "../processes/kernel.ts";

const skip = await whyNoEvents();
const root = process.getuid!() === 0;

const exec = (pid: number) => (event: ProcessEvent): event is ExecEvent =>
  event.type === "exec" && event.pid === pid;
const exit = (pid: number) => (event: ProcessEvent): event is ExitEvent =>
  event.type === "exit" && event.pid === pid && !event.thread;

/** Runs a program until the end of the test. */
function start(
  command: string,
  args: readonly string[] = [],
): { child: ChildProcess; pid: number } & Disposable {
  const child = spawn(command, args, { stdio: "ignore" });
  return { child, pid: child.pid!, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

test("ProcFs reads this process as /proc shows it", async () => {
  // A runner may name hundreds of test files in our command line.
  const procFs = new ProcFs((await openSystem("test")).libc, { commandLineBytes: 1 << 20 });
  assert(procFs.pids().includes(process.pid));
  const stat = procFs.stat(process.pid)!;
  assert.equal(stat.pid, process.pid);
  assert.equal(stat.parentPid, process.ppid);
  assert.equal(stat.comm, readFileSync("/proc/self/comm", "utf8").slice(0, -1));
  assert.equal(stat.kernelThread, false);
  assert(stat.stackStart > 0);
  const args = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  assert.deepEqual(procFs.commandLine(process.pid, false), { args, truncated: false, present: true });
  assert.equal(procFs.exe(process.pid), readlinkSync("/proc/self/exe"));
  assert.deepEqual(procFs.user(process.pid), { uid: process.getuid!(), effectiveUid: process.geteuid!() });
  const cgroup = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
  assert.equal(procFs.cgroup(process.pid), cgroup);
  const nowTicks = Number((procFs.monotonicNs() + procFs.bootOffsetNs()) / 10_000_000n);
  assert(stat.startTimeTicks <= nowTicks && stat.startTimeTicks > nowTicks - 360_000);
  const free = 2 ** 22; // one more than the largest possible pid
  assert.equal(procFs.stat(free), undefined);
  assert.equal(procFs.missing, "gone");
});

test("ProcFs reads kthreadd, where this pid namespace shows it", async () => {
  const procFs = new ProcFs((await openSystem("test")).libc);
  const stat = procFs.stat(2);
  if (stat?.comm !== "kthreadd") return;
  assert.equal(stat.kernelThread, true);
  assert.deepEqual(procFs.commandLine(2, false), { args: [], truncated: false, present: false });
  assert.equal(procFs.exe(2), undefined);
});

test("the table holds a child from its fork to its exit", { skip }, async () => {
  using watch = await TableWatch.open();
  using sleeper = start("/bin/sleep", ["60"]);
  const { pid } = sleeper;
  const execed = (await watch.until(exec(pid))).process!;
  assert.deepEqual(execed.commandLine, ["/bin/sleep", "60"]);
  assert.equal(execed.comm, "sleep");
  assert.equal(execed.exe, readlinkSync(`/proc/${pid}/exe`));
  assert.equal(execed.parentPid, process.pid);
  assert.deepEqual([execed.uid, execed.effectiveUid], [process.getuid!(), process.geteuid!()]);
  assert.equal(execed.startFrom, "fork");
  assert.equal(execed.unknownBecause, undefined);
  const fork = await watch.until((event): event is ForkEvent => event.type === "fork" && event.pid === pid);
  assert.equal(fork.process?.startNs, fork.timestampNs);
  // The event has the start time of /proc: the kernel reads both within a few microseconds.
  const ticks = Number((fork.timestampNs + watch.table.procFs.bootOffsetNs()) / 10_000_000n);
  assert(Math.abs(ticks - execed.startTimeTicks!) <= 10, `${ticks} ${execed.startTimeTicks}`);
  sleeper.child.kill("SIGKILL");
  const exited = await watch.until(exit(pid));
  assert.equal(exited.signal, "SIGKILL");
  assert.deepEqual(exited.process?.commandLine, ["/bin/sleep", "60"]);
  assert.equal(watch.table.get(pid), undefined);
});

test("the table is filled from /proc with the running processes", { skip }, async () => {
  using sleeper = start("/bin/sleep", ["61"]);
  await once(sleeper.child, "spawn");
  using watch = await TableWatch.open();
  const info = watch.table.get(sleeper.pid)!;
  assert.deepEqual(info.commandLine, ["/bin/sleep", "61"]);
  assert.deepEqual([info.parentPid, info.uid, info.startFrom], [process.pid, process.getuid!(), "proc"]);
  const self = watch.table.get(process.pid)!;
  assert.equal(self.exe, readlinkSync("/proc/self/exe"));
  sleeper.child.kill("SIGKILL");
  assert.deepEqual((await watch.until(exit(sleeper.pid))).process?.commandLine, ["/bin/sleep", "61"]);
});

test("names and arguments with arbitrary bytes", { skip }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "process-"));
  try {
    const program = join(folder, "a) (\n\\b");
    symlinkSync(readlinkSync("/bin/sh").startsWith("busybox") ? "/bin/busybox" : "/bin/sleep", program);
    using watch = await TableWatch.open();
    using sleeper = start(program, ["60"]);
    const info = (await watch.until(exec(sleeper.pid))).process!;
    assert.equal(info.comm, "a) (\n\\b");
    assert.deepEqual(info.commandLine, [program, "60"]);
    // printf makes an argument that is not UTF-8; the shell waits with it.
    using shell = start("/bin/sh", ["-c", 'exec /bin/sh -c "sleep 60; :" "$(printf "\\377\\n) x")" ""']);
    const second = (event: ProcessEvent): event is ExecEvent =>
      exec(shell.pid)(event) &&
      (event.process?.commandLine?.length ?? 0) > 3;
    const args = (await watch.until(second)).process?.commandLine;
    assert.deepEqual(args?.slice(2), ["sleep 60; :", "\udcff\n) x", ""]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test(
  "a command line of more than a megabyte is truncated, or complete on request",
  { skip },
  async () => {
    const long = Array.from({ length: 12 }, (_, i) => String(i).repeat(100_000).slice(0, 100_000));
    using watch = await TableWatch.open();
    using whole = await TableWatch.open({
      commandLineBytes: MAX_COMMAND_LINE_BYTES,
      fields: ["commandLine"],
    });
    using shell = start("/bin/sh", ["-c", "sleep 60; :", ...long]);
    const cut = (await watch.until(exec(shell.pid))).process!;
    assert.equal(cut.commandLineTruncated, true);
    assert.equal(cut.commandLine?.join("\0").length, 4096);
    const full = (await whole.until(exec(shell.pid))).process!;
    assert.equal(full.commandLineTruncated, false);
    assert.deepEqual(full.commandLine?.slice(3), long);
  },
);

test("user ids come from the events, also for a set-user-id program", {
  skip: skip || (!root || !existsSync("/usr/bin/setpriv") ? "wants root and setpriv" : false),
}, async () => {
  using watch = await TableWatch.open();
  using sleeper = start("/usr/bin/setpriv", ["--reuid=65534", "--clear-groups", "/bin/sleep", "60"]);
  const isSleep = (event: ProcessEvent): event is ExecEvent =>
    exec(sleeper.pid)(event) && event.process?.effectiveUid === 65534;
  const info = (await watch.until(isSleep)).process!;
  assert.deepEqual([info.uid, info.effectiveUid], [65534, 65534]);
  assert.deepEqual(watch.table.procFs.user(sleeper.pid), { uid: 65534, effectiveUid: 65534 });
});

test("a process with threads leaves the table with its last thread", { skip }, async () => {
  using watch = await TableWatch.open();
  using runtime = start(process.execPath, ["--version"]);
  const { pid } = runtime;
  await once(runtime.child, "exit");
  await watch.until(exit(pid));
  const threads = new Set<number>([pid]);
  const deadline = Date.now() + 2000;
  while (threads.size > 0 && Date.now() < deadline) {
    threads.clear();
    threads.add(pid);
    for (const event of watch.seen) {
      if (event.type === "fork" && event.pid === pid) threads.add(event.tid);
      if (event.type === "exit" && event.pid === pid) threads.delete(event.tid);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal(threads.size, 0);
  assert.equal(watch.table.get(pid), undefined);
});

test("after a storm of forks none of its processes remains in the table", { skip }, async () => {
  using watch = await TableWatch.open();
  using storm = start("/bin/sh", ["-c", "i=0; while [ $i -lt 300 ]; do i=$((i+1)); (:); done; exit 3"]);
  assert.equal((await watch.until(exit(storm.pid))).exitCode, 3);
  let forks = 0;
  for (const event of watch.seen) {
    if (event.type !== "fork" || event.parentPid !== storm.pid || event.thread) continue;
    forks++;
    assert.equal(event.process?.parentPid, storm.pid);
    const left = watch.table.get(event.pid);
    assert(left === undefined || left.startNs !== event.timestampNs);
  }
  assert.equal(forks, 300);
});
