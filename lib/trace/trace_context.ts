import type { RecordingHeader } from "./recording.ts";

/** A span of W3C Trace Context, which others are children of. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  /** Whether it is recorded. */
  readonly sampled: boolean;
}

const TRACE_PARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** Reads the value of TRACEPARENT; undefined if it is none, which W3C Trace Context wants ignored. */
export function parseTraceParent(text: string | undefined): TraceContext | undefined {
  const match = TRACE_PARENT.exec(text?.trim() ?? "");
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, more] = match;
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  if (/^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return undefined;
  return { traceId: traceId!, spanId: spanId!, sampled: (parseInt(flags!, 16) & 1) !== 0 };
}

/** The ids of a recording's spans: always the same, so that what is sent twice can be recognised. */
export class SpanIds {
  /** The span that the recorded command belongs to, if there is one. */
  readonly parent: TraceContext | undefined;
  readonly traceId: string;
  readonly #high: string;
  readonly #low: number;

  constructor({ traceParent, bootId, timestampNs }: RecordingHeader) {
    this.parent = parseTraceParent(traceParent);
    const name = `${bootId} ${timestampNs}`;
    this.traceId = this.parent?.traceId ?? [1, 2, 3, 4].map((seed) => hex(hash(name, seed))).join("");
    // The first half is never 0, so that no id is.
    this.#high = hex(hash(name, 5) || 1);
    this.#low = hash(name, 6);
  }

  /** The id of the span of a process, by its place in the order of the trace. */
  spanId(index: number): string {
    return this.#high + hex((this.#low + index) >>> 0);
  }

  /** TRACEPARENT for the command that is recorded: the first process of the trace. */
  traceParent(): string {
    return `00-${this.traceId}-${this.spanId(0)}-0${this.parent?.sampled === false ? 0 : 1}`;
  }
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}

/** A hash of 32 bits: FNV-1a with the finalizer of MurmurHash3. */
function hash(text: string, seed: number): number {
  let sum = 0x811c9dc5 ^ Math.imul(seed, 0x9e3779b9);
  for (let i = 0; i < text.length; i++) sum = Math.imul(sum ^ text.charCodeAt(i), 0x01000193);
  sum = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2ae35);
  return (sum ^ (sum >>> 16)) >>> 0;
}
