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
  look(nowMs: number): { processors: number; atLeast: boolean } | undefined;
} {
  const ticks = new Map<number, number | undefined>();
  const stat = (pid: number): unknown => {
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
