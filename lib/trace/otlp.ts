import { jsonText } from "../wire/json_text.ts";
import { redactArguments } from "./redact.ts";
import {
  hasFailed,
  lastImage,
  type Trace,
  type TraceImage,
  type TraceLoss,
  type TraceProcess,
} from "./trace.ts";
import { SpanIds } from "./trace_context.ts";

// Numbers of opentelemetry/proto/trace/v1/trace.proto.
const SPAN_KIND_INTERNAL = 1;
const STATUS_CODE_ERROR = 2;

/** The largest request: receivers accept some megabytes. A single span may be larger. */
const REQUEST_CHARACTERS = 1 << 20;
/** As many as OpenTelemetry's own exporters send in one. */
const REQUEST_SPANS = 512;
/** Moments that are listed in one span; of more, how many. */
const MOST_EVENTS = 128;
/** Times are 64 bits. */
const MAX_TIME = 2n ** 64n - 1n;

/** What is said of the source of spans. */
export interface OtlpOptions {
  /** Attributes of the resource, such as `service.name`, which is `cnctl` otherwise. */
  readonly resource?: Readonly<Record<string, string>> | undefined;
}

/** A request to an OpenTelemetry collector. */
export interface OtlpRequest {
  /** An `ExportTraceServiceRequest` of OTLP, as JSON. */
  readonly json: string;
  /** How many spans it has. */
  readonly spans: number;
}

/**
 * A trace as spans of OpenTelemetry: an `ExportTraceServiceRequest` of OTLP in JSON on each line, as files of the collector
 * have it. A process is a span by the semantic conventions for CLI programs, and a child of the span of its parent, or of
 * that in `TRACEPARENT` when the recording began. Ids are the same each time. What looks like a secret is hidden in command
 * lines. Attributes that begin with `cnctl.` say what there is no convention for: `cnctl.uncertain` that events were lost
 * while the process ran.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { buildTrace, formatOtlp, parseRecording } from "kernel-connector/trace";
 *
 * const recording = [
 *   '{"type":"trace","version":1,"timeMs":0,"timestampNs":"1000","processors":2,"command":["true"],"cwd":"/"}',
 *   '{"type":"fork","timestampNs":"1000","pid":7,"parentPid":1}',
 *   '{"type":"exec","timestampNs":"2000","pid":7,"process":{"comm":"true","exe":"/usr/bin/true"}}',
 *   '{"type":"exit","timestampNs":"4001000","pid":7,"exitCode":0,"signal":null}',
 * ].join("\n");
 * const { resourceSpans } = JSON.parse(formatOtlp(buildTrace(parseRecording(recording))));
 * const [span] = resourceSpans[0].scopeSpans[0].spans;
 * assert.deepEqual([span.name, span.kind, span.endTimeUnixNano], ["true", 1, "4000000"]);
 * ```
 */
export function formatOtlp(trace: Trace, options: OtlpOptions = {}): string {
  let lines = "";
  for (const { json } of otlpRequests(trace, options)) lines += `${json}\n`;
  return lines;
}

/** The requests that have the spans of a trace: at least one. */
export function* otlpRequests(trace: Trace, { resource = {} }: OtlpOptions): Generator<OtlpRequest, void> {
  const spans = new SpanMaker(trace);
  const before = `{"resourceSpans":[{"resource":${jsonText({ attributes: resourceOf(trace, resource) })},` +
    `"scopeSpans":[{"scope":{"name":"kernel-connector"},"spans":[`;
  const after = "]}]}]}";
  let text = "";
  let count = 0;
  for (const [index, process] of trace.processes.entries()) {
    const span = jsonText(spans.spanOf(process, index));
    if (count === REQUEST_SPANS || (count > 0 && text.length + span.length > REQUEST_CHARACTERS)) {
      yield { json: before + text + after, spans: count };
      text = "";
      count = 0;
    }
    text += count++ === 0 ? span : `,${span}`;
  }
  if (count > 0 || trace.processes.length === 0) yield { json: before + text + after, spans: count };
}

type Value = string | number | boolean | readonly string[] | undefined;

/** What is the same for all spans: also what is missing. */
function resourceOf(
  { header, losses, complete, usageRefusal }: Trace,
  given: Readonly<Record<string, string>>,
): object[] {
  const lost = losses.reduce((sum, { count }) => sum + (count ?? 0), 0);
  return attributesOf({
    "service.name": "cnctl",
    "os.type": "linux",
    "os.version": header.kernel,
    "cnctl.boot_id": header.bootId,
    "cnctl.losses": losses.length,
    "cnctl.lost_events": lost,
    "cnctl.recording_complete": complete,
    "cnctl.usage_refusal": usageRefusal,
    ...given,
  });
}

class SpanMaker {
  readonly #trace: Trace;
  readonly #ids: SpanIds;
  readonly #indexes: ReadonlyMap<TraceProcess, number>;
  readonly #beginNs: bigint;

  constructor(trace: Trace) {
    this.#trace = trace;
    this.#ids = new SpanIds(trace.header);
    this.#indexes = new Map(trace.processes.map((process, index) => [process, index]));
    this.#beginNs = BigInt(Math.round(trace.header.timeMs * 1000)) * 1000n;
  }

  spanOf(process: TraceProcess, index: number): object {
    const { parent, startNs, endNs } = process;
    const name = executableName(lastImage(process));
    const parentId = parent === undefined
      ? this.#ids.parent?.spanId
      : this.#ids.spanId(this.#indexes.get(parent)!);
    const [events, left] = this.#eventsOf(process);
    return {
      traceId: this.#ids.traceId,
      spanId: this.#ids.spanId(index),
      ...parentId !== undefined && { parentSpanId: parentId },
      name,
      kind: SPAN_KIND_INTERNAL,
      startTimeUnixNano: this.#time(startNs),
      endTimeUnixNano: this.#time(endNs),
      attributes: attributesOf(describe(process, name)),
      ...events.length > 0 && { events },
      ...left > 0 && { droppedEventsCount: left },
      ...hasFailed(process) &&
        { status: { code: STATUS_CODE_ERROR, message: howFailed(process).toWellFormed() } },
    };
  }

  /** The programs that it ran, if these are several, and for a process without a parent the losses. */
  #eventsOf({ parent, images, startNs, endNs }: TraceProcess): readonly [events: object[], left: number] {
    const executed = images.filter(({ forked }) => !forked);
    const moments = executed.length < 2
      ? []
      : executed.map((image) => ({ ns: image.startNs, name: "exec", values: describeImage(image) }));
    if (parent === undefined) {
      for (const { sinceNs, ns, count } of this.#lossesWithin(startNs, endNs)) {
        const values = { "cnctl.lost_events": count, "cnctl.lost_within_ns": Math.round(ns - sinceNs) };
        moments.push({ ns, name: "events lost", values });
      }
    }
    const events = moments.slice(0, MOST_EVENTS).map(({ ns, name, values }) => ({
      timeUnixNano: this.#time(ns),
      name,
      attributes: attributesOf(values),
    }));
    return [events, moments.length - events.length];
  }

  #lossesWithin(startNs: number, endNs: number): readonly TraceLoss[] {
    return this.#trace.losses.filter(({ sinceNs, ns }) => sinceNs <= endNs && ns >= startNs);
  }

  #time(ns: number): bigint {
    const time = this.#beginNs + BigInt(Math.round(ns));
    return time < MAX_TIME ? time : MAX_TIME;
  }
}

/** The attributes of a process. */
function describe(process: TraceProcess, name: string): Record<string, Value> {
  const { pid, parent, exitCode, uid, usage, startUnknown, running, uncertain, coreDumped } = process;
  const image = lastImage(process);
  return {
    ...describeImage(image, name),
    "process.pid": pid,
    "process.parent_pid": parent?.pid,
    "process.real_user.id": uid,
    "process.exit.code": exitCode ?? undefined,
    "error.type": hasFailed(process) ? process.signal ?? String(exitCode) : undefined,
    "cnctl.cpu_ns": usage?.cpuNs,
    "cnctl.peak_rss_bytes": usage?.peakRssBytes,
    "cnctl.read_bytes": usage?.readBytes,
    "cnctl.write_bytes": usage?.writeBytes,
    "cnctl.forked": image.forked || undefined,
    "cnctl.core_dumped": coreDumped || undefined,
    "cnctl.start_unknown": startUnknown || undefined,
    "cnctl.end_unknown": running || undefined,
    "cnctl.uncertain": uncertain || undefined,
  };
}

function describeImage(image: TraceImage, name: string = executableName(image)): Record<string, Value> {
  const { exe, commandLine, cwd, commandLineTruncated } = image;
  return {
    "process.executable.name": name,
    "process.executable.path": exe,
    "process.command_args": commandLine && redactArguments(commandLine),
    "process.working_directory": cwd,
    "cnctl.command_args_cut": commandLineTruncated || undefined,
  };
}

/** The last part of the path of the file, or of what is known instead. */
function executableName({ exe, commandLine, comm }: TraceImage): string {
  const path = exe ?? commandLine?.[0] ?? "";
  return (path.slice(path.lastIndexOf("/") + 1) || comm || "unknown").toWellFormed();
}

function howFailed({ exitCode, signal, coreDumped }: TraceProcess): string {
  if (signal === null) return `exit code ${exitCode}`;
  return coreDumped ? `${signal}, core dumped` : signal;
}

/** Those that are known, as `KeyValue` messages. */
function attributesOf(values: Readonly<Record<string, Value>>): object[] {
  const attributes: object[] = [];
  for (const [key, value] of Object.entries(values)) {
    if (value !== undefined) attributes.push({ key, value: anyValue(value) });
  }
  return attributes;
}

function anyValue(value: Exclude<Value, undefined>): object {
  switch (typeof value) {
    case "string":
      return { stringValue: value.toWellFormed() };
    case "number":
      return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
    case "boolean":
      return { boolValue: value };
    default:
      return { arrayValue: { values: value.map((text) => ({ stringValue: text.toWellFormed() })) } };
  }
}
