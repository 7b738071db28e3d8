import assert from "node:assert/strict";
import { test } from "node:test";
import { CpuSampler } from "../../lib/cli/commands/aggregate/cpu.ts";
import type { ProcessGroup } from "../../lib/processes/aggregate.ts";
import type { ProcFs } from "../../lib/procfs/process.ts";

/** A group, its processes, and what /proc says of them. */
function machine(): {
  sampler: CpuSampler;
  group: { ended: number; measured: number; cpuNs: number };
  ticks: Map<number, number | undefined>;
  /** How many processes were read. */
  reads(): number;
  look(nowMs: number): { processors: number; atLeast: boolean } | undefined;
} {
  const ticks = new Map<number, number | undefined>();
  let reads = 0;
  const stat = (pid: number): unknown => {
    reads++;
    const cpuTicks = ticks.get(pid);
    return cpuTicks === undefined ? undefined : { startTimeTicks: pid, cpuTicks };
  };
  const sampler = new CpuSampler({ stat } as unknown as ProcFs);
  const group = { ended: 0, measured: 0, cpuNs: 0 };
  const its = group as unknown as ProcessGroup;
  return {
    sampler,
    group,
    ticks,
    reads: () => reads,
    look: (nowMs) =>
      sampler.look([...ticks.keys()].map((pid) => [pid, its] as const), new Set([its]), nowMs).get(its),
  };
}

test("CPU of running processes; of ended ones it is unknown", () => {
  const { group, ticks, look } = machine();
  ticks.set(1, 100).set(2, 50);
  assert.equal(look(0), undefined);
  ticks.set(1, 150);
  assert.deepEqual(look(1000), { processors: 0.5, atLeast: false });
  ticks.delete(2);
  group.ended++;
  assert.deepEqual(look(2000), { processors: 0, atLeast: true });
});

test("with usage, what ended processes had used since the last look is counted", () => {
  const { group, ticks, look } = machine();
  ticks.set(1, 100).set(2, 50);
  look(0);
  // One that had used 0.5 s ends after another 0.3 s; one that nobody saw has used 0.1 s.
  ticks.delete(2);
  Object.assign(group, { ended: 2, measured: 2, cpuNs: 0.9e9 });
  assert.deepEqual(look(1000), { processors: 0.4, atLeast: false });
  // Of one of two that ended nothing is known.
  Object.assign(group, { ended: 4, measured: 3, cpuNs: 1e9 });
  assert.deepEqual(look(2000), { processors: 0.1, atLeast: true });
});

test("a process that is gone before its exit has come is counted with that", () => {
  const { group, ticks, look } = machine();
  ticks.set(1, 100).set(2, 50);
  look(0);
  ticks.set(2, undefined);
  assert.deepEqual(look(1000), { processors: 0, atLeast: false });
  ticks.delete(2);
  Object.assign(group, { ended: 1, measured: 1, cpuNs: 0.7e9 });
  assert.deepEqual(look(2000), { processors: 0.2, atLeast: false });
});

test("an idle process is read in every fourth look, and what it used since is spread over these", () => {
  const { ticks, look, reads } = machine();
  for (let pid = 1; pid <= 40; pid++) ticks.set(pid, 100);
  let nowMs = 0;
  for (let i = 0; i < 3; i++) look(nowMs += 1000);
  assert.equal(reads(), 120);
  for (let i = 0; i < 4; i++) assert.deepEqual(look(nowMs += 1000), { processors: 0, atLeast: false });
  assert.equal(reads(), 160);
  // Half of a processor from now on: first seen as a mean, and then at every look.
  let work = 100;
  const seen = Array.from({ length: 8 }, () => {
    ticks.set(7, work += 50);
    return look(nowMs += 1000)!.processors;
  });
  const first = seen.findIndex((processors) => processors > 0);
  assert(first >= 0 && first < 4, String(seen));
  assert(seen[first]! > 0 && seen[first]! <= 0.5, String(seen));
  assert.deepEqual(seen.slice(first + 1), seen.slice(first + 1).map(() => 0.5));
});
