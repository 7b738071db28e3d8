/**
 * Recordings of process trees, and reports of them.
 *
 * ```ts ignore
 * import { readFileSync } from "node:fs";
 * import { formatText, readTrace } from "kernel-connector/trace";
 *
 * console.log(formatText(readTrace(readFileSync("build.trace"))));
 * ```
 *
 * @module
 */
export { criticalPath, type CriticalStep, parallelism, type ProgramSum, sumByProgram } from "./analysis.ts";
export { type DiffRow, type DiffSide, diffTraces, type TraceDiff } from "./diff.ts";
export { formatDiff } from "./diff_text.ts";
export { exportOtlp, type ExportOtlpOptions, type ExportOtlpResult } from "./export_otlp.ts";
export { formatFolded } from "./folded.ts";
export { formatHtml } from "./html.ts";
export { formatJson } from "./json.ts";
export { formatMarkdown } from "./markdown.ts";
export { formatOtlp, type OtlpOptions } from "./otlp.ts";
export { encodePerfetto } from "./perfetto.ts";
export { readTrace } from "./read_trace.ts";
export {
  parseRecording,
  type RecordedEvent,
  type Recording,
  type RecordingEnd,
  RecordingError,
  type RecordingHeader,
} from "./recording.ts";
export type { StartedProcess, TraceProcessesOptions, TraceProgress } from "./options.ts";
export { redactArguments, redactRecording } from "./redact.ts";
export { formatText } from "./text.ts";
export {
  buildTrace,
  type Trace,
  type TraceImage,
  type TraceLoss,
  type TraceProcess,
  type TraceUsage,
} from "./trace.ts";
export { traceProcesses } from "./trace_processes.ts";
