import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut } from "../../lib/trace/lanes.ts";
import { type Trace, type TraceProcess } from "../../lib/trace/mod.ts";
import { life, traceOf } from "./sample.ts";

/** The pids of each lane, indented by its depth. */
const rows = (trace: Trace, shown?: (pid: number) => boolean): string[] =>
  layOut(trace, shown && (({ pid }) => shown(pid))).map(({ depth, processes }) =>
    " ".repeat(depth) + processes.map(({ pid }) => pid).join(" ")
  );

test("lanes are below their parents', and the first free one is taken", () => {
  const trace = traceOf([
    ...life([1, 0], [0, 100], ["make"]),
    ...life([2, 1], [0, 50], ["sh"]),
    ...life([3, 2], [10, 40], ["cc"]),
    ...life([4, 1], [20, 30], ["ld"]),
    ...life([5, 1], [35, 60], ["ar"]),
    ...life([6, 1], [50, 70], ["sh"]),
    ...life([7, 6], [50, 70], ["cc"]),
  ]);
  assert.deepEqual(rows(trace), ["1", " 2 6", "  3 7", " 4 5"]);
  assert.deepEqual(rows(trace, (pid) => pid !== 3 && pid !== 4), ["1", " 2 6", "  7", " 5"]);
});

test("a lane is not free while a descendant of its process runs, even an orphan", () => {
  const trace = traceOf([
    ...life([1, 0], [0, 100], ["sh"]),
    ...life([2, 1], [10, 20], ["sh"]),
    ...life([3, 2], [10, 90], ["daemon"]),
    ...life([4, 1], [30, 40], ["ls"]),
  ]);
  assert.deepEqual(rows(trace), ["1", " 2", "  3", " 4"]);
});

test("100,000 processes at once, and a chain as long, are laid out", () => {
  const model = { ...traceOf(life([1, 0], [0, 100], ["x"])).processes[0]!, endNs: 200_000 };
  const flat: TraceProcess[] = [];
  const chain: TraceProcess[] = [];
  for (let i = 0; i < 100_000; i++) {
    flat.push({ ...model, startNs: i });
    chain.push({ ...model, startNs: i, parent: chain.at(-1) });
  }
  assert.equal(layOut({ processes: flat }).length, 100_000);
  assert.equal(layOut({ processes: chain }).at(-1)!.depth, 99_999);
});
