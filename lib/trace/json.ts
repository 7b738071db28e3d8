import { jsonText } from "../wire/json_text.ts";
import { criticalPath, parallelism, sumByProgram } from "./analysis.ts";
import type { Trace, TraceProcess } from "./trace.ts";

/**
 * A trace as JSON, for programs: an object with `header`, `durationNs`, `status`, `complete`, `usageRefusal`, `losses`,
 * `processes`, `programs` ({@linkcode sumByProgram}), `criticalPath` and `parallelism` as these functions return them. A
 * process stands in other places as its index in `processes`, and has `parent` instead of `children`. What is not known is
 * null. Terminals show it as it is.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { buildTrace, formatJson, parseRecording } from "kernel-connector/trace";
 *
 * const recording = [
 *   '{"type":"trace","version":1,"timeMs":0,"timestampNs":"1000","processors":2,"command":["true"],"cwd":"/"}',
 *   '{"type":"fork","timestampNs":"1000","pid":7,"parentPid":1}',
 *   '{"type":"exec","timestampNs":"2000","pid":7,"process":{"comm":"true","commandLine":["true"]}}',
 *   '{"type":"exit","timestampNs":"4001000","pid":7,"exitCode":0,"signal":null}',
 * ].join("\n");
 * const { processes } = JSON.parse(formatJson(buildTrace(parseRecording(recording))));
 * assert.deepEqual([processes[0].pid, processes[0].parent, processes[0].endNs], [7, null, 4_000_000]);
 * ```
 */
export function formatJson(trace: Trace): string {
  const { processes, ...rest } = trace;
  const indexes = new Map(processes.map((process, index) => [process, index]));
  const indexOf = (process: TraceProcess | undefined): number | undefined =>
    process === undefined ? undefined : indexes.get(process);
  const parts = {
    ...rest,
    programs: sumByProgram(trace),
    criticalPath: criticalPath(trace).map((step) => ({ ...step, process: indexOf(step.process) })),
    parallelism: parallelism(trace),
  };
  // A line for each process: who reads it with other tools than a parser finds them.
  const lines = processes.map(({ children: _, parent, ...process }) =>
    jsonText({ ...process, parent: indexOf(parent) })
  );
  return `${jsonText(parts).slice(0, -1)},"processes":[${lines.length === 0 ? "" : "\n"}${
    lines.join(",\n")
  }\n]}\n`;
}
