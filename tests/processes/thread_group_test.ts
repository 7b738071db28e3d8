import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { ProcFs } from "../../lib/procfs/process.ts";
import { ProcessIdentity } from "../../lib/processes/identity.ts";
import { ThreadGroups } from "../../lib/processes/thread_group.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

const SECOND = 1_000_000_000n;

interface System {
  fake: FakeProc;
  make: Events;
  groups: ThreadGroups;
  /** The exits of processes among these events, as `tid: code` or `tid: signal`. */
  ends: (...events: ProcessEvent[]) => string[];
}

/** Each event is a millisecond after the one before. */
function system(): System {
  const fake = new FakeProc();
  const make = new Events(() => fake.nowNs += 1_000_000n);
  const procFs = new ProcFs(fake.libc);
  const groups = new ThreadGroups(procFs, new ProcessIdentity(procFs));
  const ends = (...events: ProcessEvent[]): string[] => {
    const batch = [...events];
    groups.apply(batch, true);
    return batch.flatMap((event) =>
      event.type === "exit" && !event.thread
        ? [`${event.pid}: ${event.signal ?? event.exitCode}${event.coreDumped ? " core" : ""}`]
        : []
    );
  };
  return { fake, make, groups, ends };
}

const code = (n: number): number => n << 8;

test("a process with one thread costs nothing and is not remembered", () => {
  const { fake, make, groups, ends } = system();
  assert.deepEqual(ends(make.fork(1, 7), make.exec(7), make.exit(7, 7, code(3))), ["7: 3"]);
  assert.equal(groups.size, 0);
  assert.deepEqual(fake.calls, []);
});

test("the main thread may end first: the process ends with its last thread, with what that says", () => {
  const { make, groups, ends } = system();
  assert.deepEqual(ends(make.thread(7, 8), make.thread(7, 9), make.exit(7), make.exit(7, 8)), []);
  const last = make.exit(7, 9, code(7));
  const batch: ProcessEvent[] = [last];
  groups.apply(batch, true);
  const { type, pid, tid, status, exitCode, exitSignal, parentPid, thread, timestampNs } =
    batch[0] as typeof last;
  assert.deepEqual(
    { type, pid, tid, status, exitCode, exitSignal, parentPid, thread, timestampNs },
    {
      type: "exit",
      pid: 7,
      tid: 7,
      status: 0x700,
      exitCode: 7,
      exitSignal: 17,
      parentPid: 1,
      thread: false,
      timestampNs: last.timestampNs,
    },
  );
  assert.equal(groups.size, 0);
});

test("as the kernel sent it, an exit is changed in nothing but thread", () => {
  const { make, groups } = system();
  const batch = [make.thread(7, 8), make.exit(7, 7, code(1)), make.exit(7, 8, code(2))];
  const before = structuredClone(batch);
  groups.apply(batch, false);
  assert.deepEqual(batch, [before[0], { ...before[1], thread: true }, { ...before[2], thread: false }]);
});

test("exit_group and signals: the status of all, whoever ends last", () => {
  const { make, ends } = system();
  const threads = [make.thread(7, 8), make.thread(7, 9)];
  // A joined thread is still on its way out when the main one calls exit_group.
  assert.deepEqual(ends(...threads, make.exit(7, 9), make.exit(7, 7, code(3)), make.exit(7, 8)), ["7: 3"]);
  assert.deepEqual(ends(...threads, make.exit(7, 8, 9), make.exit(7, 7, 9), make.exit(7, 9)), [
    "7: SIGKILL",
  ]);
  // Only the thread that dumped core says so.
  assert.deepEqual(ends(...threads, make.exit(7, 8, 11), make.exit(7, 9, 0x8b), make.exit(7, 7, 11)), [
    "7: SIGSEGV core",
  ]);
});

test("a bare exit(2) of a thread long before the end is not the process's status", () => {
  const { fake, make, ends } = system();
  assert.deepEqual(ends(make.thread(7, 8), make.exit(7, 8, code(5))), []);
  fake.nowNs += SECOND;
  assert.deepEqual(ends(make.exit(7)), ["7: 0"]);
});

test("an exec in another thread: the exits before it are threads', also those that come late", () => {
  const { fake, make, groups, ends } = system();
  const late = make.exit(7, 9);
  const lateLeader = make.exit(7);
  assert.deepEqual(ends(make.thread(7, 8), make.thread(7, 9), make.exec(7), late, lateLeader), []);
  fake.nowNs += SECOND;
  assert.deepEqual(ends(make.exit(7, 7, code(6))), ["7: 6"]);
  assert.deepEqual(ends(make.thread(7, 8), make.exit(7), make.exec(7), make.exit(7, 7, code(6))), ["7: 6"]);
  // The main thread's number was taken over before its exit was reported.
  assert.deepEqual(ends(make.thread(7, 8), make.exit(7, 8), make.exec(7), make.exit(7, 7, code(6))), [
    "7: 6",
  ]);
  assert.equal(groups.size, 0);
});

test("a main thread that ends twice had become it by an exec that was lost", () => {
  const { fake, make, groups, ends } = system();
  fake.add(7, { threads: 1 });
  assert.deepEqual(ends(make.thread(7, 8), make.exit(7)), []);
  // The exec, of which nothing is heard; then two threads, of which one is the last.
  fake.processes.get(7)!.threads = 2;
  fake.processes.get(7)!.tids = [7, 10];
  assert.deepEqual(ends(make.thread(7, 10)), []);
  fake.processes.get(7)!.state = "Z";
  assert.deepEqual(ends(make.exit(7)), []);
  assert.deepEqual(ends(make.exit(7, 10, code(4))), ["7: 4"]);
  assert.deepEqual(ends(make.thread(7, 8), make.exit(7)), []);
  fake.processes.delete(7);
  assert.deepEqual(ends(make.exit(7, 7, code(5))), ["7: 5"]);
  assert.equal(groups.size, 0);
});

test("a pid that is in use again before the last exit of its process was sent", () => {
  // The parent reaps a process before the exit of its last thread is sent, and starts another one with the same pid.
  for (const forksAreSeen of [true, false]) {
    const { make, groups, ends } = system();
    const fork = forksAreSeen ? [make.fork(1, 7)] : [];
    assert.deepEqual(ends(make.thread(7, 8), make.exit(7)), []);
    assert.deepEqual(ends(...fork, make.exit(7, 7, code(27)), make.exit(7, 8, code(26))), ["7: 27", "7: 26"]);
    assert.equal(groups.size, 0);
    // Nothing of it is left: 8 is a new thread.
    assert.deepEqual(ends(make.thread(7, 8), make.exit(7, 8, code(1))), []);
  }
  const { make, ends } = system();
  assert.deepEqual(ends(make.thread(7, 8), make.thread(7, 9), make.exit(7)), []);
  const next = [make.fork(1, 7), make.thread(7, 10), make.exit(7)];
  assert.deepEqual(ends(...next, make.exit(7, 9), make.exit(7, 10, code(3)), make.exit(7, 8, 15)), [
    "7: 3",
    "7: SIGTERM",
  ]);
});

test("what /proc and queued events both tell is one thread", () => {
  const { fake, make, groups, ends } = system();
  const early = [make.thread(7, 8), make.thread(7, 9), make.exit(7, 9), make.exit(7)];
  fake.add(7, { threads: 2, state: "Z" }); // 7 and 8
  fake.add(20, { threads: 3 });
  fake.add(30, { state: "Z" });
  groups.seed();
  assert.equal(groups.size, 2);
  assert.deepEqual(ends(...early), []);
  assert.deepEqual(ends(make.exit(7, 8, code(7))), ["7: 7"]);
  assert.deepEqual(ends(make.exit(20), make.exit(20, 21), make.exit(20, 22, 15)), ["20: SIGTERM"]);
  assert.equal(groups.size, 0);
  assert.equal(fake.openCount, 0);
});

test("a process whose main thread ended before the watch began ends with its last thread", () => {
  const { fake, make, groups, ends } = system();
  fake.add(7, { threads: 3, state: "Z" });
  groups.seed([7, 8]);
  assert.deepEqual(ends(make.exit(7, 8)), []);
  assert.deepEqual(ends(make.exit(7, 9, code(7))), ["7: 7"]);
});

test("a list of threads that was cut short is read again", () => {
  const { fake, make, groups, ends } = system();
  const process = fake.add(7, { threads: 3, tids: [7, 8] });
  fake.onRead = (path) => {
    if (path === "/proc/7/task" && fake.calls.filter((call) => call.endsWith("/task")).length === 2) {
      process.tids = [7, 9];
    }
  };
  groups.seed();
  assert.deepEqual(ends(make.exit(7), make.exit(7, 8)), []);
  assert.deepEqual(ends(make.exit(7, 9)), ["7: 0"]);
});

test("after a loss /proc is asked who is there", () => {
  const { fake, make, groups, ends } = system();
  const process = fake.add(7, { threads: 3 });
  groups.seed();
  ends(make.lost(2)); // the exits of 8 and 9, and the start of 30
  Object.assign(process, { state: "Z", threads: 2, tids: [7, 30] });
  assert.equal(groups.wantsSeed, true);
  groups.seed();
  assert.equal(groups.wantsSeed, false);
  assert.deepEqual(ends(make.exit(7)), []);
  assert.deepEqual(ends(make.exit(7, 30, code(2))), ["7: 2"]);
  fake.add(8, { threads: 2 });
  groups.seed();
  ends(make.lost(1)); // the exit of 9
  fake.processes.delete(8);
  assert.deepEqual(ends(make.exit(8, 8, code(1))), ["8: 1"]);
});

test("if /proc cannot be read, it is read again later, and no process counts as gone", () => {
  const { fake, make, groups, ends } = system();
  fake.add(7, { threads: 2 });
  fake.files.set("/proc", -ERRNO["EMFILE"]!);
  groups.seed();
  assert.equal(groups.wantsSeed, true);
  fake.files.delete("/proc");
  groups.seed();
  fake.files.set("/proc/7/stat", -ERRNO["EMFILE"]!);
  assert.deepEqual(ends(make.lost(1), make.exit(7)), []);
  assert.deepEqual(ends(make.exit(7, 8, code(3))), ["7: 3"]);
});
