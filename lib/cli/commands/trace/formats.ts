import { encodePerfetto, formatFolded, formatMarkdown, formatText, type Trace } from "../../../trace/mod.ts";

/** What a report can be. */
export const FORMATS = ["text", "markdown", "folded", "perfetto"] as const;
/** Those that are no text. */
export const BINARY_FORMATS: ReadonlySet<string> = new Set(["perfetto"]);
/** One of them. */
export type Format = typeof FORMATS[number];

/** A trace as a file of that format. */
export function formatTrace(trace: Trace, format: Format): Uint8Array {
  switch (format) {
    case "text":
      return encoder.encode(formatText(trace));
    case "markdown":
      return encoder.encode(formatMarkdown(trace));
    case "folded":
      return encoder.encode(formatFolded(trace));
    case "perfetto":
      return encodePerfetto(trace);
  }
}

const encoder = new TextEncoder();
