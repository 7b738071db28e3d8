import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { buildTrace, parseRecording } from "../../lib/trace/mod.ts";
import {
  firstAbove,
  forEachCounted,
  forEachVisible,
  mark,
  processAt,
  rowsOf,
} from "../../lib/trace/page/rows.ts";
import { matcherOf } from "../../lib/trace/page/search.ts";
import { tickLabel, tickNs } from "../../lib/trace/page/ticks.ts";
import { View } from "../../lib/trace/page/view.ts";
import { largeRecording, life, traceOf } from "./sample.ts";

test("a view zooms around a pixel, and never leaves the trace", () => {
  const view = new View(1e9);
  view.width = 1000;
  view.zoom(0.5, 250);
  assert.deepEqual([view.fromNs, view.toNs], [125e6, 625e6]);
  assert.equal(view.ns(250), 250e6);
  view.pan(-1e6);
  assert.deepEqual([view.fromNs, view.toNs], [0, 500e6]);
  view.pan(1e6);
  assert.equal(view.toNs, 1e9);
  view.zoom(1e9);
  assert.deepEqual([view.fromNs, view.toNs], [0, 1e9]);
  view.zoom(0);
  assert.equal(view.spanNs, 1000);
  view.fit();
  view.reveal(5e8, 5e8 + 100);
  assert(view.x(5e8 + 100) - view.x(5e8) > 10, "what is too short to be seen is magnified");
});

test("what is visible is drawn once, in its place, and at most once for each pixel", () => {
  const lives = fc.array(fc.tuple(fc.nat(50), fc.nat(2000)), { minLength: 1, maxLength: 300 });
  const part = fc.tuple(
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 1e-6, max: 1, noNaN: true }),
  );
  fc.assert(fc.property(lives, part, (list, [from, span]) => {
    const [starts, ends]: [number[], number[]] = [[], []];
    let at = 0;
    for (const [gap, length] of list) {
      starts.push(at += gap);
      ends.push(at += length);
    }
    const row = {
      ...rowsOf(traceOf(life([1, 0], [0, 1], ["x"])), 0)[0]!,
      starts: Float64Array.from(starts),
      ends: Float64Array.from(ends),
    };
    const view = new View(at);
    view.width = 100;
    view.show(from * at, from * at + span * at);
    let next: number | undefined;
    let [calls, right] = [0, -Infinity];
    forEachVisible(row, view, (x0, x1, first, end) => {
      assert.equal(first, next ?? first, "each once");
      assert(end > first && x1 >= x0);
      assert(x0 <= view.x(starts[first]!) && x1 + 1 >= view.x(ends[end - 1]!), "all of it is covered");
      assert(x0 >= right - 1, "from left to right");
      [next, right] = [end, x1];
      calls++;
    });
    assert(calls <= view.width + 3, `${calls} calls`);
    const firstVisible = ends.findIndex((end) => end > view.fromNs);
    if (firstVisible >= 0 && starts[firstVisible]! < view.toNs) assert(calls > 0);
  }));
});

test("what is counted is marked where it begins, once for each pixel", () => {
  const view = new View(1e6);
  view.width = 100;
  const starts = Float64Array.from({ length: 1000 }, (_, i) => 1000 * i);
  const marks = (counted: (i: number) => boolean, first: number, end: number): number[] => {
    const counts = new Uint32Array(1001);
    for (let i = 0; i < 1000; i++) counts[i + 1] = counts[i]! + Number(counted(i));
    const found: number[] = [];
    forEachCounted(starts, counts, view, first, end, (x) => found.push(x));
    return found;
  };
  assert.deepEqual(marks((i) => [55, 58, 700, 999].includes(i), 0, 1000), [5, 70, 99]);
  assert.deepEqual(marks((i) => [55, 58, 700, 999].includes(i), 56, 700), [5]);
  assert.deepEqual(marks(() => false, 0, 1000), []);
  assert.equal(marks(() => true, 0, 1000).length, 100);
});

test("firstAbove is the first that is greater", () => {
  fc.assert(fc.property(fc.array(fc.nat(20)), fc.nat(20), (numbers, value) => {
    const sorted = numbers.toSorted((a, b) => a - b);
    const found = sorted.findIndex((number) => number > value);
    assert.equal(firstAbove(sorted, value), found < 0 ? sorted.length : found);
  }));
});

const BUILD = [
  ...life([1, 0], [0, 100], ["make"]),
  ...life([2, 1], [10, 20], ["sh", "-c", "cc a.c"], { exitCode: 1 }),
  ...life([3, 2], [11, 12], ["/usr/bin/CC", "a.c"]),
  ...life([4, 1], [30, 31], ["true"]),
];

test("the slider keeps what lived long enough, and its parents", () => {
  const pids = (leastNs: number): number[][] =>
    rowsOf(traceOf(BUILD), leastNs).map(({ processes }) => processes.map(({ pid }) => pid));
  assert.deepEqual(pids(0), [[1], [2, 4], [3]]);
  assert.deepEqual(pids(5e6), [[1], [2]]);
  const orphans = [...life([1, 0], [0, 2], ["sh"]), ...life([2, 1], [1, 100], ["daemon"])];
  assert.deepEqual(rowsOf(traceOf(orphans), 50e6).map(({ processes }) => processes[0]!.pid), [1, 2]);
});

test("a build of 3,000 processes has a row for make, and two for each of four jobs", () => {
  const trace = buildTrace(parseRecording(largeRecording(3001)));
  assert.equal(trace.processes.length, 3001);
  assert.deepEqual(rowsOf(trace, 0).map(({ depth }) => depth), [0, 1, 2, 1, 2, 1, 2, 1, 2]);
});

test("a point finds the process there, or the nearest", () => {
  const row = rowsOf(traceOf(BUILD), 0)[1]!;
  assert.deepEqual([15e6, 22e6, 28e6, 25e6].map((ns) => processAt(row, ns, 3e6)?.pid), [2, 2, 4, undefined]);
});

test("a search finds text, pids, programs and failures, in any case", () => {
  const { processes } = traceOf(BUILD);
  const found = (search: string): number[] => processes.filter(matcherOf(search)!).map(({ pid }) => pid);
  assert.deepEqual(found("cc"), [2, 3]);
  assert.deepEqual(found(" A.C "), [2, 3]);
  assert.deepEqual(found("4"), [4]);
  assert.deepEqual(found("program:sh"), [2]);
  assert.deepEqual(found("status:failed"), [2]);
  assert.equal(matcherOf(" "), undefined);
  const rows = rowsOf(traceOf(BUILD), 0);
  mark(rows, ({ pid }) => pid === 4);
  assert.deepEqual(rows.map(({ matched }) => [...matched]), [[0, 0], [0, 0, 1], [0, 0]]);
});

test("ticks are round, and their labels differ", () => {
  assert.deepEqual([0.3, 3, 45e3, 1.1e6, 6e8, 19e9, 21e9, 3e12, 9e13].map(tickNs), [
    1,
    5,
    5e4,
    2e6,
    1e9,
    2e10,
    6e10,
    3.6e12,
    17.28e13,
  ]);
  const labels = (ns: number, stepNs: number): string[] =>
    [0, 1, 2].map((i) => tickLabel(ns + i * stepNs, stepNs));
  assert.deepEqual(labels(0, 2e7), ["0 s", "20 ms", "40 ms"]);
  assert.deepEqual(labels(1.5e9, 5e8), ["1.5 s", "2.0 s", "2.5 s"]);
  assert.deepEqual(labels(12e9, 5e4), ["12.00000 s", "12.00005 s", "12.00010 s"]);
  assert.deepEqual(labels(0, 6e10), ["0 min", "1 min", "2 min"]);
  assert.deepEqual(labels(3.54e12, 6e10), ["59 min", "1:00 h", "1:01 h"]);
});
