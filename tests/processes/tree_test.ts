import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProcFs } from "../../lib/procfs/process.ts";
import { ProcessTree } from "../../lib/processes/tree.ts";
import { Events } from "./events.ts";
import { FakeProc, type FakeProcess } from "./fake_proc.ts";

function system(): { fake: FakeProc; make: Events } {
  const fake = new FakeProc();
  return { fake, make: new Events(() => fake.nowNs += 1_000_000n) };
}

test("ProcessTree.seed() takes in all that came from the root", () => {
  const { fake } = system();
  for (const [pid, parentPid] of [[1, 0], [2, 1], [3, 2], [4, 3], [5, 1]] as const) {
    fake.add(pid, { parentPid });
  }
  fake.add(6, { parentPid: 3, state: "Z" });
  const procFs = new ProcFs(fake.libc);
  const tree = new ProcessTree(2);
  assert.equal(tree.seed(procFs), true);
  assert.deepEqual([1, 2, 3, 4, 5, 6].filter((pid) => tree.has(pid)), [2, 3, 4]);
  assert.equal(new ProcessTree(99).seed(procFs), false);
});

test("ProcessTree: who is in stays in when a parent ends, until its own end", () => {
  const { make } = system();
  const tree = new ProcessTree(2);
  const steps: [
    ReturnType<Events["fork"]> | ReturnType<Events["exit"]> | ReturnType<Events["comm"]>,
    boolean,
  ][] = [
    [make.fork(2, 3), true],
    [make.fork(3, 4), true],
    [make.exit(3), true],
    [make.comm(3, "x"), false],
    [make.fork(4, 5), true],
    [make.exit(2), true],
    [make.comm(5, "x"), true],
    [make.fork(1, 6), false],
    [make.exit(4), true],
    [make.fork(1, 5), false], // the exit of the old 5 was lost
    [make.comm(5, "x"), false],
  ];
  for (const [event, expected] of steps) {
    assert.equal(tree.apply(event), expected, JSON.stringify(event.type));
  }
  assert.equal(tree.size, 0);
  assert.equal(tree.apply(make.lost(1)), true);
});

test("ProcessTree keeps a process until the exit that is no thread's", () => {
  const { make } = system();
  const tree = new ProcessTree(2);
  const leader = { ...make.exit(2), thread: true };
  const last = { ...make.exit(2, 4), thread: false };
  for (const event of [make.thread(2, 3), make.thread(2, 4), make.exit(2, 3), leader]) {
    assert.equal(tree.apply(event), true);
    assert.equal(tree.has(2), true);
  }
  assert.equal(tree.apply(last), true);
  assert.equal(tree.has(2), false);
});

test("ProcessTree finds orphans again after a loss, where something of the tree is left on them", () => {
  const { fake, make } = system();
  const found = (pid: number, fields: Partial<FakeProcess>): boolean => {
    fake.add(pid, { parentPid: 1, session: 1, processGroup: 1, ...fields });
    return tree.apply({ ...make.fork(1, pid), synthetic: true as const });
  };
  fake.add(1, { parentPid: 0, session: 1, cgroup: "/init" });
  fake.add(9, { session: 9, cgroup: "/init" });
  fake.add(10, { parentPid: 9, session: 9, processGroup: 9, cgroup: "/ours" });
  const tree = new ProcessTree(10);
  assert(tree.seed(new ProcFs(fake.libc)));
  fake.nowNs += 1_000_000_000n;
  tree.apply(make.fork(10, 11));
  tree.apply(make.exit(11));
  assert.equal(found(20, { session: 11 }), true, "a session that a member made");
  assert.equal(found(21, { processGroup: 10 }), true, "the root's process group");
  assert.equal(
    found(22, { session: 9, processGroup: 9 }),
    true,
    "what the root was born into, given to init",
  );
  assert.equal(found(23, { session: 9, processGroup: 9, parentPid: 9 }), false, "a sibling of the root");
  assert.equal(found(24, { session: 24, cgroup: "/ours/sub" }), true, "a control group of its own");
  assert.equal(found(25, { session: 25, cgroup: "/init" }), false);
  assert.equal(found(26, { session: 10, startNs: 1_000_000_000n }), false, "older than the root");
  tree.apply(make.fork(1, 11)); // the number comes round again
  assert.equal(found(27, { session: 11 }), false);
});

test("ProcessTree: between a loss and the comparison, a fork may have a parent whose own fork was lost", () => {
  const { fake, make } = system();
  fake.add(1, { parentPid: 0, session: 1 });
  fake.add(9, { session: 9, processGroup: 9 });
  fake.add(10, { parentPid: 9, session: 9, processGroup: 9 });
  const tree = new ProcessTree(10);
  tree.seed(new ProcFs(fake.libc));
  fake.nowNs += 1_000_000_000n;
  const forked = (parentPid: number, pid: number): boolean => tree.apply(make.fork(parentPid, pid));

  fake.add(11, { parentPid: 10, session: 9, processGroup: 9 });
  fake.add(12, { parentPid: 11, session: 9, processGroup: 9 });
  assert.equal(forked(11, 12), false, "without a loss every parent is known");
  tree.apply(make.lost(2));
  assert.equal(forked(11, 12), true, "its parent lives, and is a child of the root");
  fake.add(14, { parentPid: 1, session: 9, processGroup: 9 });
  assert.equal(forked(13, 14), true, "its parent has ended");
  fake.add(16, { parentPid: 9, session: 9, processGroup: 9 });
  fake.add(17, { parentPid: 16, session: 9, processGroup: 9 });
  assert.equal(forked(16, 17), false, "its parent is a sibling of the root");
  tree.settle();
  fake.add(19, { parentPid: 1, session: 9, processGroup: 9 });
  assert.equal(forked(18, 19), false, "after the comparison every parent is known again");
});

test("ProcessTree: a sibling that the root made by CLONE_PARENT is in it, one of the parent is not", () => {
  const { fake, make } = system();
  fake.add(9, { session: 9 });
  const root = fake.add(10, { parentPid: 9 });
  const tree = new ProcessTree(10);
  tree.seed(new ProcFs(fake.libc));
  fake.add(11, { parentPid: 9, stackStart: root.stackStart });
  assert.equal(tree.apply(make.fork(9, 11)), true);
  fake.add(12, { parentPid: 9, stackStart: fake.processes.get(9)!.stackStart });
  assert.equal(tree.apply(make.fork(9, 12)), false);
  assert.equal(tree.apply(make.fork(9, 13)), false);
});

test("ProcessTree is what a walk over all forks gives", () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(4)), { maxLength: 100 }), (steps) => {
    const { make } = system();
    const tree = new ProcessTree(2);
    const live = new Map([[1, false], [2, true]]);
    let next = 3;
    for (const [which, kind] of steps) {
      const [pid, inTree] = [...live][which % live.size]!;
      if (kind > 0) {
        live.set(next, inTree);
        assert.equal(tree.apply(make.fork(pid, next++)), inTree);
      } else if (live.size > 1) {
        live.delete(pid);
        assert.equal(tree.apply(make.exit(pid)), inTree);
      }
    }
    for (const [pid, inTree] of live) assert.equal(tree.has(pid), inTree);
    assert.equal(tree.size, [...live.values()].filter(Boolean).length);
  }));
});
