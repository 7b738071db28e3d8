import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ProcessAggregate, type ProcessGroup } from "../../lib/processes/aggregate.ts";
import { DurationSketch } from "../../lib/processes/duration_sketch.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";
import type { ProcessUsage } from "../../lib/processes/usage.ts";
import { Events } from "./events.ts";

const MS = 1_000_000n;

/** Events a millisecond apart, each with what is known of its process. */
class Script {
  #nowNs = 1_000_000_000_000n;
  readonly events = new Events(() => this.#nowNs += MS);

  /** Moves the clock on. */
  pass(ms: number): void {
    this.#nowNs += BigInt(ms) * MS;
  }

  get nowNs(): bigint {
    return this.#nowNs;
  }

  known<Event extends ProcessEvent>(event: Event, info: Partial<ProcessInfo>): Event {
    return { ...event, process: { ...emptyInfo(event.pid!, undefined), ...info } };
  }

  /** As a watch with `snapshot` shows a process at its start. */
  existing(pid: number, info: Partial<ProcessInfo>): ProcessEvent[] {
    const startNs = this.#nowNs - 5000n * MS;
    return [this.known({ ...this.events.fork(1, pid), synthetic: true as const }, { startNs, ...info })];
  }
}

function group(aggregate: ProcessAggregate, name: string | undefined): ProcessGroup {
  const found = aggregate.groups().find((each) => each.name === name && !each.isOther);
  assert(found !== undefined, `no group ${name}`);
  return found;
}

test("a child that executes a program is a start of that program, and a fork of its parent's", () => {
  const { events, known, ...script } = bound(new Script());
  const aggregate = new ProcessAggregate("program");
  aggregate.apply(script.existing(10, { comm: "sh" }));
  const forked = known(events.fork(10, 11), { comm: "sh" });
  aggregate.apply([forked, known(events.exec(11), { comm: "gcc" })]);
  const [sh, gcc] = [group(aggregate, "sh"), group(aggregate, "gcc")];
  assert.deepEqual([sh.starts, sh.running, sh.events.fork], [0, 1, 1]);
  assert.deepEqual([gcc.starts, gcc.running, gcc.events.exec], [1, 1, 1]);
  const info = { comm: "gcc", startNs: forked.timestampNs };
  aggregate.apply([known(events.exit(11, 11, 1 << 8), info)]);
  assert.deepEqual([gcc.running, gcc.ended, gcc.failed, gcc.failures.get("1")], [0, 1, 1, 1]);
  assert.equal(gcc.lifetimes.longestNs, 2e6);
});

test("a child that executes nothing is a start of its parent's program: at its end, or after a second", () => {
  const { events, known, ...script } = bound(new Script());
  const aggregate = new ProcessAggregate("program");
  aggregate.apply(script.existing(10, { comm: "server" }));
  aggregate.apply([known(events.fork(10, 11), { comm: "server" })]);
  const server = group(aggregate, "server");
  assert.equal(server.starts, 0, "it may yet execute a program");
  aggregate.apply([known(events.exit(11, 11, 9), { comm: "server" })]);
  assert.deepEqual([server.starts, server.ended, server.failures.get("signal 9")], [1, 1, 1]);
  aggregate.apply([known(events.fork(10, 12), { comm: "server" })]);
  assert.equal(server.starts, 1);
  script.pass(1000);
  aggregate.settle(script.nowNs());
  assert.deepEqual([server.starts, server.running], [2, 2]);
});

test("what existed is running and has not started, also if only its exec or its exit is seen", () => {
  const { events, known, ...script } = bound(new Script());
  const aggregate = new ProcessAggregate("user");
  aggregate.apply(script.existing(10, { uid: 0 }));
  aggregate.apply([known(events.exec(20), { uid: 7 }), known(events.exit(21), { uid: 7 })]);
  assert.deepEqual([group(aggregate, "0").starts, group(aggregate, "0").running], [0, 1]);
  const { starts, running, ended } = group(aggregate, "7");
  assert.deepEqual([starts, running, ended], [0, 1, 1]);
});

test("a process moves to another group with its name or its user, and is no start there", () => {
  const { events, known, ...script } = bound(new Script());
  const byUser = new ProcessAggregate("user");
  byUser.apply(script.existing(10, { uid: 0 }));
  byUser.apply([known(events.uid(10, 33, 33), { uid: 33 })]);
  assert.deepEqual([group(byUser, "0").running, group(byUser, "33").running], [0, 1]);
  assert.equal(group(byUser, "33").starts, 0);
  const byProgram = new ProcessAggregate("program");
  byProgram.apply(script.existing(10, { comm: "node" }));
  byProgram.apply([known(events.comm(10, "MainThread"), { comm: "MainThread" })]);
  assert.deepEqual([group(byProgram, "node").running, group(byProgram, "MainThread").running], [0, 1]);
});

test("a process of which the exit was lost has ended with an unknown status", () => {
  const { events, known, ...script } = bound(new Script());
  const aggregate = new ProcessAggregate("parent");
  aggregate.apply([known(events.fork(1, 10), { parentComm: "init" })]);
  script.pass(500);
  // Its pid is reused.
  aggregate.apply([known(events.fork(1, 10), { parentComm: "init" })]);
  const init = group(aggregate, "init");
  assert.deepEqual([init.starts, init.running, init.ended, init.unknownStatus], [2, 1, 1, 1]);
  const exit = { ...events.exit(10), status: null, exitCode: null, synthetic: true as const };
  aggregate.apply([known(exit, { parentComm: "init" })]);
  assert.deepEqual([init.running, init.ended, init.unknownStatus, init.lifetimes.count], [0, 2, 2, 0]);
});

test("a process found in /proc before its fork event came is counted once", () => {
  const { events, known } = bound(new Script());
  const aggregate = new ProcessAggregate("user");
  const first = events.fork(1, 9);
  aggregate.apply([known(first, { uid: 0 })]);
  const fork = events.fork(1, 10);
  const found = known({ ...events.fork(1, 10), synthetic: true as const, timestampNs: first.timestampNs }, {
    uid: 0,
    startNs: fork.timestampNs - 4n * MS,
  });
  aggregate.apply([found, known(fork, { uid: 0, startNs: fork.timestampNs })]);
  const root = group(aggregate, "0");
  assert.deepEqual([root.starts, root.running, root.ended], [2, 2, 0]);
});

test("kernel threads of a kind are one program; an unknown name is none", () => {
  const { events, known } = bound(new Script());
  const aggregate = new ProcessAggregate("program");
  aggregate.apply(
    ["kworker/0:1", "kworker/u8:2-events", "kswapd0", undefined].map((comm, i) =>
      known(events.fork(2, 20 + i), { comm, kernelThread: true })
    ),
  );
  assert.deepEqual(
    aggregate.groups().map(({ name, running }) => [name, running]),
    [["[kworker]", 2], ["[kswapd0]", 1], [undefined, 1]],
  );
});

test("usage of ended processes is summed up, as far as it is known", () => {
  const { events, known } = bound(new Script());
  const aggregate = new ProcessAggregate("program");
  for (const [pid, cpuNs] of [[20, 5], [21, 7], [22, undefined]] as const) {
    const exit = known(events.exit(pid, pid, 0), { comm: "a" });
    const usage = cpuNs === undefined ? {} : { usage: { cpuNs } as ProcessUsage };
    aggregate.apply([known(events.fork(1, pid), { comm: "a" }), { ...exit, ...usage }]);
  }
  assert.deepEqual(
    aggregate.groups().map(({ ended, measured, cpuNs }) => ({ ended, measured, cpuNs })),
    [{ ended: 3, measured: 2, cpuNs: 12 }],
  );
});

test("losses are counted", () => {
  const { events } = bound(new Script());
  const aggregate = new ProcessAggregate("program");
  aggregate.apply([events.lost(12), events.lost(undefined), events.lost(3)]);
  assert.deepEqual([aggregate.losses.lost, aggregate.losses.uncountedLosses], [15, 1]);
});

test("beyond the limit groups are counted together", () => {
  const { events, known } = bound(new Script());
  const aggregate = new ProcessAggregate("program", 3);
  for (let i = 0; i < 1000; i++) {
    const comm = `program ${i}`;
    aggregate.apply([
      known(events.fork(1, 10 + i), { comm: "make" }),
      known(events.exec(10 + i), { comm }),
      known(events.exit(10 + i), { comm }),
    ]);
  }
  const groups = aggregate.groups();
  assert.deepEqual(groups.map(({ name, isOther }) => isOther ? "others" : name), [
    "make",
    "program 0",
    "program 1",
    "others",
  ]);
  assert.deepEqual([groups[3]!.starts, groups[3]!.ended, groups[3]!.running], [998, 998, 0]);
});

test("whatever comes in whatever order, the running ones add up and nothing is negative", () => {
  const pid = fc.integer({ min: 1, max: 6 });
  const comm = fc.constantFrom("a", "b", "c", undefined);
  const step = fc.record({
    what: fc.constantFrom("fork", "exec", "exit", "comm", "sid", "lost", "synthetic"),
    pid,
    parent: pid,
    comm,
    gap: fc.integer({ min: 0, max: 1500 }),
  });
  fc.assert(fc.property(
    fc.constantFrom("program", "parent", "user", "cgroup" as const),
    fc.array(step, { maxLength: 60 }),
    (by, steps) => {
      const script = new Script();
      const { events } = script;
      const aggregate = new ProcessAggregate(by, 2);
      const alive = new Set<number>();
      for (const { what, pid, parent, comm, gap } of steps) {
        script.pass(gap);
        const made: ProcessEvent = what === "fork"
          ? events.fork(parent, pid)
          : what === "synthetic"
          ? { ...events.fork(parent, pid), synthetic: true as const }
          : what === "comm"
          ? events.comm(pid, "x")
          : what === "lost"
          ? events.lost(1)
          : events[what as "exec" | "exit" | "sid"](pid);
        if (made.type === "exit") alive.delete(pid);
        else if (made.type !== "lost") alive.add(pid);
        aggregate.apply([made.type === "lost" ? made : script.known(made, { comm, parentComm: comm })]);
      }
      const groups = aggregate.groups();
      assert.equal(aggregate.running, alive.size);
      assert.equal(groups.reduce((sum, { running }) => sum + running, 0), alive.size);
      for (const { starts, ended, failed, running } of groups) {
        assert(Math.min(starts, failed, running) >= 0 && failed <= ended);
      }
      assert(groups.length <= 3);
    },
  ));
});

test("the median of a sketch is within 5 %, and the longest exact", () => {
  fc.assert(fc.property(
    fc.array(fc.double({ min: 1100, max: 1e17, noNaN: true }), { minLength: 1, maxLength: 200 }),
    (durations) => {
      const sketch = new DurationSketch();
      for (const ns of durations) sketch.add(ns);
      const sorted = [...durations].sort((a, b) => a - b);
      const median = sorted[Math.ceil(sorted.length / 2) - 1]!;
      const estimate = sketch.quantileNs(0.5)!;
      assert(Math.abs(estimate - median) <= median * 0.05, `${estimate} for ${median}`);
      assert.equal(sketch.longestNs, sorted.at(-1));
      assert.equal(sketch.quantileNs(1)! <= sketch.longestNs, true);
    },
  ));
  const sketch = new DurationSketch();
  assert.equal(sketch.quantileNs(0.5), undefined);
  for (const ns of [-5, 0, Number.MAX_VALUE]) sketch.add(ns);
  assert.deepEqual([sketch.shortestNs, sketch.longestNs, sketch.count], [0, Number.MAX_VALUE, 3]);
});

/** The methods of a script, to be taken apart. */
function bound(script: Script): {
  events: Events;
  known: Script["known"];
  existing: Script["existing"];
  pass: Script["pass"];
  nowNs: () => bigint;
} {
  return {
    events: script.events,
    known: script.known.bind(script),
    existing: script.existing.bind(script),
    pass: script.pass.bind(script),
    nowNs: () => script.nowNs,
  };
}
