import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { loadOf } from "../../lib/trace/load.ts";
import { buildTrace, parseRecording, type RecordedEvent } from "../../lib/trace/mod.ts";
import { endLine, life, recordingText } from "./sample.ts";

test("the load over time is what can be counted at each moment, whatever the tree", () => {
  const list = fc.array(fc.tuple(fc.nat(9), fc.nat(20), fc.nat(20), fc.nat(9)), { maxLength: 12 });
  fc.assert(fc.property(list, (processes) => {
    const events: RecordedEvent[] = [];
    for (const [i, [parent, start, length, cpuMs]] of processes.entries()) {
      const usage = { cpuNs: cpuMs * 1e6, peakRssBytes: 0, readBytes: 0, writeBytes: 0 };
      const parentPid = i === 0 ? 1 : 10 + parent % i;
      events.push(...life([10 + i, parentPid], [start, start + length], ["x"], { usage }));
    }
    const trace = buildTrace(parseRecording(recordingText(events, endLine(50))));
    const { timesNs, running, working, busy } = loadOf(trace);
    assert(timesNs.every((ns, i) => i === 0 || ns > timesNs[i - 1]!));
    for (let ms = 0; ms < 45; ms++) {
      const ns = ms * 1e6 + 5e5;
      const alive = trace.processes.filter(({ startNs, endNs }) => startNs < ns && ns < endNs);
      const atWork = alive.filter((process) => !process.children.some((child) => alive.includes(child)));
      const i = timesNs.findLastIndex((time) => time < ns);
      assert.deepEqual([running[i] ?? 0, working[i] ?? 0], [alive.length, atWork.length], `at ${ms}.5 ms`);
      const cpu = alive.reduce((sum, { usage, startNs, endNs }) => sum + usage!.cpuNs / (endNs - startNs), 0);
      assert(Math.abs((busy[i] ?? 0) - cpu) < 1e-6);
    }
  }));
});
