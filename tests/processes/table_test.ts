import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";
import { ProcessTable } from "../../lib/processes/table.ts";
import type { ProcessInfoOptions } from "../../lib/processes/info.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { encodeText } from "../../lib/wire/text.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

/** A machine, its events, and a table of it. Each event is a millisecond after the one before. */
function system(
  options: ProcessInfoOptions = {},
  isRelevant?: (pid: number) => boolean,
): { fake: FakeProc; make: Events; table: ProcessTable } {
  const fake = new FakeProc();
  const make = new Events(() => fake.nowNs += 1_000_000n);
  return { fake, make, table: new ProcessTable(fake.libc, options, isRelevant) };
}

function processOf(event: ProcessEvent): ProcessInfo | undefined {
  return event.process;
}

function reads(fake: FakeProc): string[] {
  return fake.calls.splice(0).filter((call) => /\/\d+\//.test(call)).map((call) => call.replace(/^\w+ /, ""));
}

test("seed() takes in every process with all that /proc tells", () => {
  const { fake, table } = system();
  fake.bootOffsetNs = 5_000_000_000n;
  fake.add(1, { comm: "init", parentPid: 0, startNs: 20_000_000n, args: ["/sbin/init"], exe: "/sbin/init" });
  fake.add(2, { comm: "kthreadd", parentPid: 0, kernelThread: true });
  fake.add(7, {
    comm: "sh",
    args: ["sh", "-c", "x"],
    exe: "/bin/sh",
    uid: 5,
    effectiveUid: 6,
    cgroup: "/user",
  });
  table.seed();
  assert.equal(table.size, 3);
  assert.deepEqual([...table.values()].map((info) => info.pid), [1, 2, 7]);
  assert.deepEqual(table.get(7), {
    pid: 7,
    parentPid: 1,
    parentComm: "init",
    startNs: 1_000_000_000_000n,
    startFrom: "proc",
    startTimeTicks: 100_500,
    comm: "sh",
    commandLine: ["sh", "-c", "x"],
    commandLineTruncated: false,
    exe: "/bin/sh",
    uid: 5,
    effectiveUid: 6,
    session: 7,
    cgroup: "/user",
    kernelThread: false,
    unknownBecause: undefined,
  });
  const kernel = table.get(2)!;
  assert.deepEqual([kernel.kernelThread, kernel.commandLine, kernel.exe, kernel.unknownBecause], [
    true,
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(fake.openCount, 0);
});

test("seed() leaves out what has ended, and keeps a process whose main thread alone has", () => {
  const { fake, make, table } = system();
  fake.add(7, { state: "Z" });
  fake.add(8, { state: "Z", threads: 2 });
  table.seed();
  assert.equal(table.get(7), undefined);
  assert.equal(table.get(8)?.comm, "prog");
  const events = [make.exit(8, 9)];
  table.groups.apply(events, false);
  table.apply(events);
  assert.equal(table.get(8), undefined);
});

test("a forked child has what its parent has, without a look at /proc", () => {
  const { fake, make, table } = system();
  fake.add(7, { comm: "sh", args: ["sh"], uid: 5, effectiveUid: 5 });
  table.seed();
  fake.calls.length = 0;
  const fork = make.fork(7, 8);
  table.apply([fork]);
  assert.deepEqual(processOf(fork), {
    ...table.get(7),
    pid: 8,
    parentPid: 7,
    parentComm: "sh",
    startNs: fork.timestampNs,
    startFrom: "fork",
    startTimeTicks: undefined,
  });
  assert.equal(table.get(7)?.commandLine, table.get(8)?.commandLine);
  assert.deepEqual(fake.calls, []);
});

test("a thread is no process", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  const events = [make.thread(7, 8), make.comm(7, "worker", 8), make.exit(7, 8)];
  table.apply(events);
  assert.deepEqual(events.map((event) => processOf(event)?.pid), [7, 7, 7]);
  assert.equal(table.size, 1);
  assert.equal(table.get(7)?.comm, "prog");
});

test("an exec is read, and the exit still knows it", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  table.apply([make.fork(7, 8)]);
  fake.add(8, { parentPid: 7, comm: "ls", args: ["ls", "-l"], exe: "/bin/ls", session: 7 });
  reads(fake);
  const exec = make.exec(8);
  table.apply([exec]);
  assert.deepEqual(reads(fake), ["/proc/8/cmdline", "/proc/8/exe", "/proc/8/cgroup", "/proc/8/stat"]);
  assert.deepEqual(processOf(exec)?.commandLine, ["ls", "-l"]);
  fake.processes.delete(8);
  const exit = make.exit(8);
  table.apply([exit]);
  assert.equal(processOf(exit), processOf(exec));
  assert.equal(processOf(exit)?.comm, "ls");
  assert.equal(table.get(8), undefined);
  assert.deepEqual(reads(fake), []);
});

test("of two execs in one batch the first never shows the second's command line", () => {
  const { fake, make, table } = system();
  fake.add(7, { comm: "first", args: ["first"], exe: "/bin/first" });
  table.seed();
  const events = [make.exec(7), make.comm(7, "x"), make.fork(7, 8), make.exec(7)];
  fake.add(7, { startNs: table.get(7)!.startNs!, comm: "second", args: ["second"], exe: "/bin/second" });
  fake.calls.length = 0;
  table.apply(events);
  const [first, comm, fork, second] = events.map(processOf);
  assert.deepEqual([first?.commandLine, first?.exe, first?.comm, first?.unknownBecause], [
    undefined,
    undefined,
    undefined,
    "superseded",
  ]);
  assert.deepEqual([comm?.comm, comm?.commandLine], ["x", undefined]);
  assert.notDeepEqual(fork?.commandLine, ["second"]);
  assert.deepEqual([second?.commandLine, second?.unknownBecause], [["second"], undefined]);
  assert.equal(reads(fake).filter((path) => path === "/proc/7/cmdline").length, 1);
});

test("a child whose parent's program is unknown is read itself, unless it is about to be", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  fake.add(8, { args: ["child"] });
  fake.add(9, { args: ["second"] });
  const events = [make.exec(7), make.fork(7, 8), make.fork(7, 9), make.exec(7), make.exec(9)];
  reads(fake);
  table.apply(events);
  assert.deepEqual(processOf(events[1]!)?.commandLine, ["child"]);
  assert.equal(processOf(events[2]!)?.commandLine, undefined);
  assert.deepEqual(processOf(events[4]!)?.commandLine, ["second"]);
  assert.equal(reads(fake).filter((path) => path === "/proc/9/cmdline").length, 1);
});

test("an exec whose exit came in the same batch: the name of a zombie, nothing where it is waited for", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  table.apply([make.fork(7, 8), make.fork(7, 9)]);
  fake.add(8, { comm: "true", state: "Z" });
  reads(fake);
  const events = [make.exec(8), make.exec(9), make.exit(8), make.exit(9)];
  table.apply(events);
  assert.deepEqual(reads(fake), ["/proc/8/stat", "/proc/9/stat"]);
  const [zombie, gone, exit] = events.map(processOf);
  assert.deepEqual([zombie?.comm, zombie?.commandLine, zombie?.unknownBecause], ["true", undefined, "gone"]);
  assert.deepEqual([gone?.comm, gone?.commandLine, gone?.unknownBecause], [undefined, undefined, "gone"]);
  assert.equal(exit?.comm, "true");
  assert.equal(table.size, 1);
});

test("an exec that ends before it can be read is unknown, not its parent", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  table.apply([make.fork(7, 8)]);
  const exec = make.exec(8);
  table.apply([exec]);
  const info = processOf(exec)!;
  assert.deepEqual([info.comm, info.commandLine, info.exe, info.unknownBecause], [
    undefined,
    undefined,
    undefined,
    "gone",
  ]);
  assert.equal(info.parentPid, 7);
});

test("an exec leaves a process in its control group, also if it ends before that can be read", () => {
  const { fake, make, table } = system({ fields: ["cgroup"] });
  fake.add(7, { cgroup: "/group" });
  table.seed();
  fake.processes.delete(7);
  const exec = make.exec(7);
  table.apply([exec]);
  assert.equal(processOf(exec)?.cgroup, "/group");
});

test("a process that gave up its memory between exec and reading is unknown", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  table.apply([make.fork(7, 8)]);
  fake.add(8, { comm: "true" });
  fake.files.set("/proc/8/cmdline", new Uint8Array(0));
  fake.files.set("/proc/8/exe", -ERRNO["ENOENT"]!);
  const exec = make.exec(8);
  table.apply([exec]);
  assert.deepEqual([processOf(exec)?.commandLine, processOf(exec)?.unknownBecause], [undefined, "gone"]);
  assert.equal(processOf(exec)?.comm, "true");
});

test("what is read belongs to the process of the event, not to a later one with its number", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  table.apply([make.fork(7, 8)]);
  const exec = make.exec(8);
  fake.nowNs += 60_000_000_000n;
  fake.add(8, { comm: "other", args: ["other"], exe: "/bin/other" });
  table.apply([exec]);
  const info = processOf(exec)!;
  assert.deepEqual([info.comm, info.commandLine, info.unknownBecause], [undefined, undefined, "gone"]);
});

test("a command line is kept when its process ends just after, but not without proof long after", () => {
  for (const [lateNs, expected] of [[1_000_000n, ["x"]], [10_000_000_000n, undefined]] as const) {
    const { fake, make, table } = system();
    fake.add(7);
    table.seed();
    table.apply([make.fork(7, 8)]);
    fake.add(8, { args: ["x"] });
    fake.onRead = (path) => path === "/proc/8/stat" && fake.processes.delete(8);
    const exec = make.exec(8);
    fake.nowNs += lateNs;
    table.apply([exec]);
    assert.deepEqual(processOf(exec)?.commandLine, expected);
    assert.equal(processOf(exec)?.unknownBecause, "gone");
  }
});

test("settle() takes back what a later exec proves wrong, from children too", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  const batch = [make.exec(7), make.comm(7, "y"), make.fork(7, 8)];
  const lazy = make.exec(7);
  const unrelated = make.exec(9);
  fake.nowNs += 1_000_000n;
  fake.add(7, { startNs: table.get(7)!.startNs!, args: ["second"], exe: "/bin/second" });
  table.apply(batch);
  assert.deepEqual(processOf(batch[0]!)?.commandLine, ["second"]); // the wrong one
  table.programs.reconcile([unrelated]);
  assert.deepEqual(processOf(batch[0]!)?.commandLine, ["second"]);
  fake.add(8, { startNs: batch[2]!.timestampNs, args: ["first"] });
  table.programs.reconcile([unrelated, lazy]);
  for (const event of batch.slice(0, 2)) {
    assert.equal(processOf(event)?.commandLine, undefined);
    assert.equal(processOf(event)?.unknownBecause, "superseded");
  }
  // The child still is what its parent was.
  assert.equal(processOf(batch[2]!), table.get(8));
  assert.deepEqual(table.get(8)?.commandLine, ["first"]);
  table.apply([lazy]);
  assert.deepEqual(processOf(lazy)?.commandLine, ["second"]);
});

test("settle() leaves alone what was read before the later exec", () => {
  const { fake, make, table } = system();
  fake.add(7, { args: ["first"] });
  table.seed();
  const exec = make.exec(7);
  table.apply([exec]);
  table.programs.reconcile([make.exec(7)]);
  assert.deepEqual(processOf(exec)?.commandLine, ["first"]);
});

test("an info loses a program that a later exec shows to have been the next one", () => {
  const { fake, make, table } = system();
  const first = fake.add(7);
  table.seed();
  // The second exec has changed the process, and its event is not there yet.
  fake.add(7, { startNs: first.startNs, args: ["second"], exe: "/bin/second" });
  const exec = make.exec(7);
  table.apply([exec]);
  assert.deepEqual(processOf(exec)?.commandLine, ["second"]);
  const lazy = make.exec(7);
  table.apply([lazy]);
  assert.equal(processOf(exec)?.commandLine, undefined);
  assert.equal(processOf(exec)?.unknownBecause, "superseded");
  assert.deepEqual(processOf(lazy)?.commandLine, ["second"]);
});

test("what is read while the next exec is under way belongs to nobody", () => {
  const { fake, make, table } = system();
  const first = fake.add(7);
  table.seed();
  fake.add(7, { startNs: first.startNs, args: [], exe: "/bin/second", inExec: true });
  const exec = make.exec(7);
  table.apply([exec]);
  assert.equal(processOf(exec)?.exe, undefined);
  assert.equal(processOf(exec)?.commandLine, undefined);
  assert.equal(processOf(exec)?.unknownBecause, "superseded");
});

test("no arguments are believed only if there are none later either", () => {
  for (const [later, expected] of [[["second"], undefined], [[], []]] as const) {
    const { fake, make, table } = system();
    const first = fake.add(7);
    table.seed();
    const second = fake.add(7, { startNs: first.startNs, args: [], exe: "/bin/second" });
    // The next exec is complete once its arguments have been looked for.
    fake.onRead = (path) => {
      if (path === "/proc/7/exe") second.args = later;
    };
    const exec = make.exec(7);
    table.apply([exec]);
    assert.deepEqual(processOf(exec)?.commandLine, expected);
    assert.equal(processOf(exec)?.unknownBecause, expected === undefined ? "superseded" : undefined);
  }
});

test("a program read right before the next exec is given up when that one cannot be read", () => {
  for (const [delayNs, expected] of [[900_000n, undefined], [1_100_000n, ["second"]]] as const) {
    const { fake, make, table } = system();
    const first = fake.add(7);
    table.seed();
    fake.add(7, { startNs: first.startNs, args: ["second"], exe: "/bin/second" });
    const exec = make.exec(7);
    const readNs = fake.nowNs;
    table.apply([exec]);
    assert.deepEqual(processOf(exec)?.commandLine, ["second"]);
    const next = { ...make.exec(7), timestampNs: readNs + delayNs };
    fake.processes.delete(7);
    table.apply([next]);
    assert.deepEqual(processOf(exec)?.commandLine, expected);
  }
});

test("comm, uid and sid events give new infos; those handed out stay as they were", () => {
  const { fake, make, table } = system();
  fake.add(7);
  table.seed();
  const before = table.get(7)!;
  const events = [make.comm(7, "new"), make.uid(7, 1000, 1001), make.sid(7), make.comm(7, "thread", 9)];
  table.apply(events);
  assert.deepEqual(events.map((event) => processOf(event)?.comm), ["new", "new", "new", "new"]);
  assert.deepEqual(events.map((event) => processOf(event)?.effectiveUid), [0, 1001, 1001, 1001]);
  assert.equal(processOf(events[1]!)?.uid, 1000);
  assert.deepEqual([before.comm, before.uid], ["prog", 0]);
});

test("a name that was set after the exec is not the exec's", () => {
  const { fake, make, table } = system();
  fake.add(7, { comm: "later" });
  table.seed();
  const events = [make.exec(7), make.comm(7, "later")];
  table.apply(events);
  assert.equal(processOf(events[0]!)?.comm, undefined);
  assert.deepEqual(processOf(events[0]!)?.commandLine, ["/bin/prog"]);
  assert.equal(processOf(events[1]!)?.comm, "later");
});

test("user ids come from events; /proc is asked at an exec only where a thread had others", () => {
  const { fake, make, table } = system();
  fake.add(7, { uid: 1000, effectiveUid: 1000 });
  table.seed();
  reads(fake);
  table.apply([make.exec(7)]);
  assert(!reads(fake).includes("/proc/7/status"));
  const uid = make.uid(7, 1000, 0, 9);
  table.apply([uid]);
  assert.equal(processOf(uid)?.effectiveUid, 1000);
  fake.processes.get(7)!.effectiveUid = 0;
  const exec = make.exec(7);
  table.apply([exec]);
  assert(reads(fake).includes("/proc/7/status"));
  assert.equal(processOf(exec)?.effectiveUid, 0);
  table.apply([make.exec(7)]);
  assert(!reads(fake).includes("/proc/7/status"));
});

test("what a thread starts has that thread's name and user ids", () => {
  const { fake, make, table } = system();
  const parent = fake.add(7, { comm: "server", args: ["server"] });
  table.seed();
  table.apply([make.thread(7, 70), make.comm(7, "worker", 70), make.uid(7, 65534, 65534, 70)]);
  const fields = { comm: "worker", uid: 65534, effectiveUid: 65534, stackStart: parent.stackStart };
  const fork = make.fork(7, 8, 70);
  fake.add(8, { ...fields, args: ["server"], startNs: fork.timestampNs });
  table.apply([fork]);
  const child = processOf(fork)!;
  assert.deepEqual([child.comm, child.uid, child.effectiveUid], ["worker", 65534, 65534]);
  assert.deepEqual(child.commandLine, ["server"]);
  // Where it becomes a program before it can be read, what it was is unknown, and what it is is read.
  const events = [make.fork(7, 9, 70), make.exec(9), make.comm(9, "sleep")];
  fake.add(9, {
    ...fields,
    comm: "sleep",
    args: ["sleep"],
    stackStart: fake.stack(),
    startNs: events[0]!.timestampNs,
  });
  table.apply(events);
  assert.deepEqual([processOf(events[0]!)?.comm, processOf(events[0]!)?.uid], [undefined, undefined]);
  assert.equal(processOf(events[1]!)?.uid, 65534);
  const exit = make.exit(9);
  table.apply([exit]);
  assert.deepEqual([processOf(exit)?.uid, processOf(exit)?.commandLine], [65534, ["sleep"]]);
});

test("a process leaves the table with the exit of its last thread", () => {
  const { fake, make, table } = system();
  fake.add(7, { args: ["x"] });
  table.seed();
  const apply = (...events: ProcessEvent[]): void => {
    table.groups.apply(events, false);
    table.apply(events);
  };
  apply(make.thread(7, 8), make.thread(7, 9), make.exit(7), make.exit(7, 8));
  assert.deepEqual(table.get(7)?.commandLine, ["x"]);
  const last = make.exit(7, 9);
  apply(last);
  assert.deepEqual(processOf(last)?.commandLine, ["x"]);
  assert.equal(table.get(7), undefined);
});

test("threads that /proc had counted are not counted twice", () => {
  const { fake, make, table } = system();
  const early = make.thread(7, 8);
  fake.add(7, { threads: 2 });
  table.seed();
  const events = [early, make.exit(7), make.exit(7, 8)];
  table.groups.apply(events, false);
  table.apply(events);
  assert.equal(table.get(7), undefined);
});

test("a number that comes round again is another process", () => {
  const { fake, make, table } = system();
  fake.add(7, { args: ["parent"] });
  fake.add(8, { args: ["old"] });
  table.seed();
  fake.nowNs += 1_000_000_000n;
  const fork = make.fork(7, 8); // the exit was lost
  table.apply([fork]);
  assert.deepEqual(processOf(fork)?.commandLine, ["parent"]);
  assert.equal(processOf(fork)?.startFrom, "fork");
  const again = make.fork(7, 8);
  table.apply([again]);
  assert.equal(table.get(8)?.startNs, again.timestampNs);
});

test("events that were queued while the table was filled are applied over it", () => {
  const { fake, make, table } = system();
  fake.add(7);
  const fork = make.fork(7, 8);
  fake.add(8, { parentPid: 7, args: ["child"], startNs: fork.timestampNs - 3_000n });
  const stale = make.exit(9);
  fake.nowNs += 1_000_000_000n;
  fake.add(9, { args: ["new"] });
  table.seed();
  table.apply([fork, stale]);
  assert.deepEqual(processOf(fork)?.commandLine, ["child"]);
  assert.deepEqual([table.get(8)?.startNs, table.get(8)?.startFrom], [fork.timestampNs, "fork"]);
  assert.deepEqual(processOf(stale), emptyInfo(9, "gone"));
  assert.deepEqual(table.get(9)?.commandLine, ["new"]);
  // An older process with that number has come and gone meanwhile.
  const { fake: other, make: events, table: second } = system();
  const old = [events.fork(1, 8), events.exit(8)];
  other.nowNs += 1_000_000_000n;
  const start = events.fork(1, 8);
  other.add(1);
  other.add(8, { args: ["new"], startNs: start.timestampNs });
  second.seed();
  second.apply([...old, start]);
  assert.equal(second.get(8)?.startNs, start.timestampNs);
});

test("a process that nobody had heard of is read once", () => {
  const { fake, make, table } = system();
  fake.add(7, { args: ["x"] });
  const events = [make.comm(7, "y"), make.comm(7, "z")];
  table.apply(events);
  assert.deepEqual(events.map((event) => processOf(event)?.commandLine), [["x"], ["x"]]);
  assert.equal(table.programs.count, 1);
  const fork = make.fork(8, 9); // the parent is gone
  table.apply([fork]);
  assert.deepEqual([processOf(fork)?.parentPid, processOf(fork)?.commandLine], [8, undefined]);
  const exit = make.exit(10);
  table.apply([exit]);
  assert.deepEqual(processOf(exit), emptyInfo(10, "gone"));
});

test("a process that is gone before it is heard of stays until its exit, and not longer without one", () => {
  const { fake, make, table } = system();
  const exec = make.exec(8);
  table.apply([exec]);
  assert.equal(processOf(exec)?.unknownBecause, "gone");
  assert.equal(table.size, 1);
  table.apply([make.exit(8)]);
  assert.equal(table.size, 0);
  table.apply([make.sid(9)]);
  assert.equal(table.size, 1);
  fake.nowNs += 1_000_000n;
  table.apply([make.exit(8)]);
  assert.equal(table.size, 0);
});

test("a kernel thread's child gets its name without an event, and a program by an exec", () => {
  const { fake, make, table } = system();
  fake.add(2, { comm: "kthreadd", kernelThread: true });
  table.seed();
  const fork = make.fork(2, 8);
  table.apply([fork]);
  assert.deepEqual([processOf(fork)?.kernelThread, processOf(fork)?.comm], [true, undefined]);
  fake.add(8, { args: ["/sbin/modprobe"] });
  const exec = make.exec(8);
  table.apply([exec]);
  assert.deepEqual([processOf(exec)?.kernelThread, processOf(exec)?.commandLine], [false, [
    "/sbin/modprobe",
  ]]);
});

test("a kernel thread has its parent's name until it gets its own, which is read with a later batch", () => {
  const { fake, make, table } = system();
  fake.add(2, { comm: "kthreadd", kernelThread: true });
  table.seed();
  const thread = fake.add(8, { comm: "kthreadd", kernelThread: true });
  const fork = make.fork(2, 8);
  table.apply([fork]);
  assert.equal(processOf(fork)?.comm, undefined);
  thread.comm = "jbd2/vda1-8";
  table.apply([]);
  assert.equal(table.get(8)?.comm, "jbd2/vda1-8");
  fake.calls.length = 0;
  table.apply([make.exit(8)]);
  assert.deepEqual(fake.calls, [], "it is read no more");
  fake.add(9, { comm: "kworker/R-x", kernelThread: true });
  const named = make.fork(2, 9);
  table.apply([named]);
  assert.equal(processOf(named)?.comm, "kworker/R-x", "one that was named at once");
});

test("the parent's name is what it was at the fork, and unknown where it turns out to be another program's", () => {
  const { fake, make, table } = system();
  fake.add(1, { comm: "init", parentPid: 0 });
  fake.add(9, { comm: "late", parentPid: 12 });
  fake.add(12, { comm: "parent" });
  table.seed();
  assert.deepEqual([1, 9, 12].map((pid) => table.get(pid)?.parentComm), [undefined, "parent", "init"]);
  const exec = make.exec(12);
  fake.add(12, { comm: "next", args: ["next"] });
  fake.add(13, { comm: "next" });
  const fork = make.fork(12, 13);
  table.apply([exec, fork]);
  assert.equal(processOf(fork)?.parentComm, "next");
  const lazy = make.exec(12);
  (lazy as { timestampNs: bigint }).timestampNs = exec.timestampNs + 2n;
  table.programs.reconcile([lazy]);
  assert.equal(processOf(fork)?.parentComm, undefined);
});

test("a new session has no terminal", () => {
  const { fake, make, table } = system({ fields: ["terminal", "cwd", "loginUid"] });
  fake.add(7, { terminal: 0x8803, cwd: "/home" });
  fake.files.set("/proc/7/loginuid", encodeText("1000"));
  table.seed();
  const { terminal, cwd, loginUid, sessionId } = table.get(7)!;
  assert.deepEqual([terminal, cwd, loginUid, sessionId], ["pts/3", "/home", 1000, undefined]);
  table.apply([make.sid(7)]);
  assert.equal(table.get(7)?.terminal, null);
});

test("a field that was not asked for is not read", () => {
  const { fake, make, table } = system({ fields: ["exe"] });
  fake.add(7);
  table.seed();
  assert.deepEqual(reads(fake), ["/proc/7/stat", "/proc/7/exe"]);
  const exec = make.exec(7);
  table.apply([exec]);
  assert.deepEqual(reads(fake), ["/proc/7/exe", "/proc/7/stat"]);
  assert.deepEqual([processOf(exec)?.commandLine, processOf(exec)?.uid, processOf(exec)?.unknownBecause], [
    undefined,
    undefined,
    undefined,
  ]);
  assert.throws(
    () => system({ fields: ["environ" as "exe"] }),
    /Cannot read "environ" of processes: there are commandLine,/,
  );
});

test("what may not be read is undefined and says so", () => {
  const { fake, table } = system();
  fake.add(7);
  fake.files.set("/proc/7/exe", -ERRNO["EACCES"]!);
  fake.add(8);
  fake.files.set("/proc/8/cmdline", -ERRNO["EMFILE"]!);
  table.seed();
  const refused = table.get(7)!;
  assert.deepEqual([refused.exe, refused.commandLine, refused.unknownBecause], [
    undefined,
    ["/bin/prog"],
    "refused",
  ]);
  assert.equal(table.get(8)?.unknownBecause, "failed");
});

test("apply() gives nothing to lost and unknown events, and passes over an empty batch", () => {
  const { make, table } = system();
  const lost = make.lost(3);
  const unknown: ProcessEvent = {
    type: "unknown",
    cpu: 0,
    seq: 0,
    timestampNs: 1n,
    what: 8,
    data: new Uint8Array(),
  };
  table.apply([lost, unknown]);
  table.apply([]);
  assert.equal(processOf(lost), undefined);
  assert.equal(processOf(unknown), undefined);
});

test("whom nobody asks for is not read, and their children are where they are asked for", () => {
  const { fake, make, table } = system({}, (pid) => pid >= 100);
  fake.add(7, { args: ["sh"] });
  table.seed();
  assert.deepEqual(reads(fake), ["/proc/7/stat"]);
  table.apply([make.fork(7, 8), make.exec(7)]);
  table.apply([make.exec(8), make.fork(8, 9)]);
  assert.deepEqual(reads(fake), []);
  assert.equal(table.get(9)?.parentPid, 8, "their line of descent is kept");
  fake.add(100, { parentPid: 9, comm: "new", args: ["sh", "-c", "x"], uid: 5, effectiveUid: 5 });
  const fork = make.fork(9, 100);
  table.apply([fork]);
  assert.deepEqual(processOf(fork)?.commandLine, ["sh", "-c", "x"]);
  assert.equal(processOf(fork)?.uid, 5);
  assert.equal(reads(fake).at(-1), "/proc/100/status");
});

test("a fork and a ptrace are events of the other process as well", () => {
  const { fake, make, table } = system({}, (pid) => pid >= 100);
  fake.add(7, { args: ["seven"] });
  fake.add(100, { args: ["debugger"] });
  table.seed();
  fake.add(8, { parentPid: 100, args: ["child"] });
  const [exec, fork] = [make.exec(100), make.fork(100, 8)];
  fake.processes.delete(100);
  table.apply([exec, fork]);
  assert.equal(processOf(exec)?.unknownBecause, "gone");
  assert.deepEqual(processOf(fork)?.commandLine, ["child"]);
  const traced = { ...make.sid(7), type: "ptrace", tracerPid: 100, tracerTid: 100 } as const;
  table.apply([traced]);
  assert.deepEqual(processOf(traced)?.commandLine, ["seven"]);
});
