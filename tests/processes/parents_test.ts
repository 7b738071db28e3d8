import assert from "node:assert/strict";
import { test } from "node:test";
import { ProcessTable } from "../../lib/processes/table.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

/** A machine with make, and a table with so many generations of parents. */
function machine(parents: number): { fake: FakeProc; make: Events; table: ProcessTable } {
  const fake = new FakeProc();
  fake.add(1, { comm: "init", parentPid: 0 });
  // The child has the smaller number: it is read before its parent.
  fake.add(6, { comm: "sh", parentPid: 7 });
  fake.add(7, { comm: "make", parentPid: 1 });
  const table = new ProcessTable(fake.libc, { parents });
  table.seed();
  return { fake, make: new Events(() => fake.nowNs += 1_000_000n), table };
}

test("parents of those that were there at the start", () => {
  const { table } = machine(5);
  const [init, make] = [{ pid: 1, comm: "init" }, { pid: 7, comm: "make" }];
  assert.deepEqual([1, 7, 6].map((pid) => table.get(pid)!.parents), [[], [init], [make, init]]);
});

test("parents stay what they were when they created one another, also when they have ended", () => {
  const { fake, make, table } = machine(3);
  fake.add(8, { comm: "make", parentPid: 7 });
  const fork = make.fork(7, 8);
  table.apply([fork]);
  fake.processes.get(8)!.comm = "sh";
  table.apply([make.exec(8)]);
  fake.add(9, { comm: "gcc", parentPid: 8 });
  const exit = make.exit(9);
  table.apply([make.fork(8, 9), make.exec(9), make.exit(8), make.exit(7), exit]);
  assert.deepEqual(fork.process!.parents, [{ pid: 7, comm: "make" }, { pid: 1, comm: "init" }]);
  assert.deepEqual(exit.process!.parents, [
    { pid: 8, comm: "sh" },
    { pid: 7, comm: "make" },
    { pid: 1, comm: "init" },
  ]);
});

test("parents are as many as were asked for, and none by default", () => {
  const { make, table } = machine(1);
  const fork = make.fork(6, 8);
  table.apply([fork]);
  assert.deepEqual(fork.process!.parents, [{ pid: 6, comm: "sh" }]);
  assert.equal("parents" in machine(0).table.get(6)!, false);
});

test("a parent whose number was given to its own descendant is no endless chain", () => {
  const { make, table } = machine(64);
  const again = make.fork(6, 7);
  table.apply([make.exit(7), again]);
  assert.deepEqual(again.process!.parents!.map(({ pid }) => pid), [6, 7, 1]);
});
