import {
  diffTraces,
  encodePerfetto,
  formatDiff,
  formatFolded,
  formatHtml,
  formatJson,
  formatMarkdown,
  formatOtlp,
  formatText,
  type Trace,
} from "../../../trace/mod.ts";
import { jsonLine } from "../../../wire/json_text.ts";
import { otlpResource } from "./send.ts";

/** What a report can be. */
export const FORMATS = ["text", "markdown", "html", "folded", "json", "perfetto", "otlp"] as const;
/** Those that nobody wants on a terminal. */
export const FILE_FORMATS: ReadonlySet<string> = new Set(["html", "perfetto"]);
/** One of them. */
export type Format = typeof FORMATS[number];
/** Those that a comparison has. */
export const DIFF_FORMATS: readonly Format[] = ["text", "json"];

/** A trace as a file of that format. */
export function formatTrace(trace: Trace, format: Format): Uint8Array {
  switch (format) {
    case "text":
      return encoder.encode(formatText(trace));
    case "html":
      return encoder.encode(formatHtml(trace));
    case "markdown":
      return encoder.encode(formatMarkdown(trace));
    case "folded":
      return encoder.encode(formatFolded(trace));
    case "json":
      return encoder.encode(formatJson(trace));
    case "perfetto":
      return encodePerfetto(trace);
    case "otlp":
      return encoder.encode(formatOtlp(trace, otlpResource()));
  }
}

/** How two traces differ, as text or JSON. */
export function formatComparison(before: Trace, after: Trace, format: Format): Uint8Array {
  const diff = diffTraces(before, after);
  if (format !== "json") return encoder.encode(formatDiff(diff));
  const summary = ({ processes, ...rest }: Trace) => ({ ...rest, processes: processes.length });
  return encoder.encode(jsonLine({ ...diff, before: summary(before), after: summary(after) }));
}

const encoder = new TextEncoder();
