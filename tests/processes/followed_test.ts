import assert from "node:assert/strict";
import { test } from "node:test";
import { ERRNO } from "../../lib/errors/errno.ts";
import { FollowedProcesses } from "../../lib/processes/followed.ts";
import { ProcFs } from "../../lib/procfs/process.ts";
import { ProcessIdentity } from "../../lib/processes/identity.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

/** Processes 7 and 8, who run for a while; each event is a millisecond after the one before. */
function system(): { fake: FakeProc; make: Events; followed: FollowedProcesses } {
  const fake = new FakeProc();
  const make = new Events(() => fake.nowNs += 1_000_000n);
  const procFs = new ProcFs(fake.libc);
  for (const pid of [7, 8, 9]) fake.add(pid);
  fake.nowNs += 10_000_000_000n;
  const followed = new FollowedProcesses(procFs, new ProcessIdentity(procFs));
  followed.begin([7, 8]);
  return { fake, make, followed };
}

test("a process is followed to its end, and not the next one with its number", () => {
  const { make, followed } = system();
  const isTheirs = [make.exec(7), make.fork(7, 20), make.fork(1, 21), make.exec(9), make.thread(8, 30)];
  assert.deepEqual(isTheirs.map((event) => followed.apply(event)), [true, true, false, false, true]);
  assert.equal(followed.apply({ ...make.exit(8, 30), thread: true }), true);
  assert.equal(followed.apply(make.exit(7)), true);
  assert.deepEqual([followed.has(7), followed.has(8), followed.size], [false, true, 1]);
  assert.deepEqual([make.fork(9, 7), make.exec(7), make.exit(7)].map((event) => followed.apply(event)), [
    false,
    false,
    false,
  ]);
  followed.apply(make.exit(8));
  assert.equal(followed.size, 0);
});

test("what was queued of an earlier process with the number is not theirs, and a later fork ends one", () => {
  const { make, followed } = system();
  const early = { ...make.exit(7), timestampNs: 1n };
  assert.equal(followed.apply(early), false);
  assert.equal(followed.has(7), true);
  assert.equal(followed.apply(make.fork(9, 7)), false, "its exit was lost");
  assert.equal(followed.has(7), false);
  // A fork that is in /proc already, and one found by a comparison with /proc.
  assert.equal(followed.apply({ ...make.fork(9, 8), timestampNs: 1_000_000_000_000n }), true);
  assert.equal(followed.apply({ ...make.fork(9, 8), synthetic: true as const }), true);
  assert.equal(followed.has(8), true);
});

test("after a loss whoever is gone has a moment for an exit that is still queued", () => {
  const { fake, make, followed } = system();
  assert.equal(followed.dueMs(), undefined);
  followed.apply(make.lost(3));
  fake.processes.delete(7);
  fake.add(8); // another one
  followed.settle(false);
  assert.equal(followed.dueMs(), 50);
  followed.settle(true);
  assert.equal(followed.size, 2);
  assert.equal(followed.apply(make.exit(7)), true, "it was not lost");
  fake.nowNs += 48_000_000n;
  followed.settle(true);
  assert.deepEqual([followed.has(7), followed.has(8), followed.dueMs()], [false, true, 50]);
  fake.nowNs += 1_000_000n;
  followed.settle(true);
  assert.deepEqual([followed.size, followed.dueMs()], [0, undefined]);
});

test("after a loss what cannot be read is not gone", () => {
  const { fake, make, followed } = system();
  followed.apply(make.lost(undefined));
  for (const pid of [7, 8]) fake.files.set(`/proc/${pid}/stat`, -ERRNO["EMFILE"]!);
  followed.settle(true);
  fake.nowNs += 1_000_000_000n;
  followed.settle(true);
  assert.equal(followed.size, 2);
});

test("who is not there, has ended, is a thread or cannot be read is said at once", () => {
  const { fake, followed } = system();
  fake.add(10, { state: "Z" });
  fake.add(11, { tgid: 7 });
  fake.add(12);
  fake.files.set("/proc/12/stat", -ERRNO["EMFILE"]!);
  for (
    const [pid, message] of [
      [4711, /^ProcessGoneError: Cannot watch process 4711: there is no such process$/],
      [10, /^ProcessGoneError: Cannot watch process 10: it has ended already/],
      [11, /^TypeError: Cannot watch process 11: that is a thread of process 7$/],
      [12, /^Error: Cannot watch process 12: \/proc\/12\/stat cannot be read$/],
    ] as const
  ) assert.throws(() => followed.begin([7, pid]), message);
  assert.equal(fake.openCount, 0);
});
