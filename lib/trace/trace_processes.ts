import { openSystem } from "../system.ts";
import { checkTraceOptions, type TraceProcessesOptions } from "./options.ts";
import { recordProcesses } from "./record.ts";
import type { RecordedEvent } from "./recording.ts";
import { type Trace, TraceBuilder } from "./trace.ts";

const ACTION = "trace processes";

/**
 * Traces processes: what `start` starts with all its descendants, a running tree, a control group, or everything. Resolves
 * with the tree of processes when they have ended. Nobody is slowed down or stopped, as by ptrace.
 *
 * Needs what {@linkcode watchProcesses} needs. Command lines are certain with exec records (root, or CAP_BPF and
 * CAP_PERFMON), and CPU time and memory are known with CAP_NET_ADMIN; what is not known is undefined.
 *
 * @throws {UnsupportedError} If processes cannot be watched here.
 * @throws {ProcessGoneError} If there is no process `pid`.
 * @throws {TypeError} If an option has the wrong type, or does not fit the others.
 * @throws what `start` or `write` throws: then the trace ends.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { formatText, traceProcesses } from "kernel-connector/trace";
 *
 * const trace = await traceProcesses({
 *   command: ["sh"],
 *   start: () => spawn("/bin/sh", ["-c", "/bin/true; (exit 3); exit 4"]),
 * });
 * assert.equal(trace.status, 4);
 * assert(trace.processes.some(({ exitCode }) => exitCode === 3));
 * assert.match(formatText(trace), /^sh: 3 processes in /);
 * ```
 */
export async function traceProcesses(options: TraceProcessesOptions): Promise<Trace> {
  checkTraceOptions(options, ACTION);
  let builder: TraceBuilder | undefined;
  const end = await recordProcesses(openSystem(ACTION), options, {
    onHeader: (header) => builder = new TraceBuilder(header),
    onEvent: (event) => builder!.apply(event as unknown as RecordedEvent),
  });
  return builder!.build(end);
}
