/** The version of the format. A reader refuses a later one. */
export const RECORDING_VERSION = 1;

/** The first line of a recording. */
export interface RecordingHeader {
  /** Says what the file is. */
  readonly type: "trace";
  /** The version of the format: 1. */
  readonly version: number;
  /** When it began, in milliseconds since 1970. */
  readonly timeMs: number;
  /** When it began, CLOCK_MONOTONIC, in nanoseconds, as decimal text. */
  readonly timestampNs: string;
  /** The boot of the machine, as /proc/sys/kernel/random/boot_id has it. */
  readonly bootId: string | undefined;
  /** The release of the kernel. */
  readonly kernel: string | undefined;
  /** How many processors the machine has. */
  readonly processors: number;
  /** The command that was traced; empty if none was started. */
  readonly command: readonly string[];
  /** Where it was started, or the trace. */
  readonly cwd: string;
  /** The running process that was traced, if it was one. */
  readonly pid?: number | undefined;
  /** The control group that was traced, if it was one. */
  readonly cgroup?: string | undefined;
  /** TRACEPARENT of W3C Trace Context when it began: the span that the command belongs to. */
  readonly traceParent?: string | undefined;
}

/** The last line of a recording that was not cut. */
export interface RecordingEnd {
  /** Says what the line is. */
  readonly type: "end";
  /** When it ended, CLOCK_MONOTONIC, in nanoseconds, as decimal text. */
  readonly timestampNs: string;
  /** How many events it has. */
  readonly events: number;
  /** How many events the kernel had to drop, as far as that is known. */
  readonly lost: number;
  /** The exit status of the command as a shell has it; null if it still ran, or none was started. */
  readonly status: number | null;
  /** Why CPU time and memory are unknown, if they are. */
  readonly usageRefusal?: string | undefined;
}

/** An event as it reads back: from a file, so nothing about it is certain but its type. */
export interface RecordedEvent {
  /** The type of the event. */
  readonly type: string;
  /** Its other fields, unchecked. */
  readonly [field: string]: unknown;
}

/** What was read of a recording. */
export interface Recording {
  /** Its first line. */
  readonly header: RecordingHeader;
  /** Its events. */
  readonly events: readonly RecordedEvent[];
  /** Undefined if the recording was cut, as by a crash or a full disk. */
  readonly end: RecordingEnd | undefined;
}

const EMPTY = "it is empty";
/** The year 2255: nanoseconds since 1970 fit into 64 bits. */
const LATEST_MS = 9e12;

/** Text that is no recording, or one that this version cannot read. */
export class RecordingError extends Error {
  /** Always `"RecordingError"`. */
  override readonly name = "RecordingError";

  /** Says why it cannot be read. */
  constructor(why: string) {
    super(`Cannot read the recording: ${why}`);
  }
}

/**
 * Reads a recording: text, or a file's bytes. What follows a line that was cut is left out.
 *
 * @throws {RecordingError} If it is empty, something else, or of a later version.
 */
export function parseRecording(recording: string | Uint8Array): Recording {
  let header: RecordingHeader | undefined;
  const events: RecordedEvent[] = [];
  const end = visitRecording(recording, (its) => header = its, (event) => events.push(event));
  return { header: header!, events, end };
}

/**
 * As {@linkcode parseRecording}, without keeping the events; returns the last line.
 *
 * @throws {RecordingError} If it is empty, something else, or of a later version.
 */
export function visitRecording(
  recording: string | Uint8Array,
  onHeader: (header: RecordingHeader) => void,
  onEvent: (event: RecordedEvent) => void,
): RecordingEnd | undefined {
  let first = true;
  for (const text of linesOf(recording)) {
    if (first) {
      onHeader(parseHeader(text));
      first = false;
      continue;
    }
    const line = parseObject(text);
    if (line === undefined) return undefined;
    if (line.type === "end") return checkEnd(line);
    onEvent(line);
  }
  if (first) throw new RecordingError(EMPTY);
  return undefined;
}

/** How many bytes become text at a time: a file may be larger than the longest string. */
const BLOCK_BYTES = 1 << 20;
const NEWLINE = 10;

/** The lines, without the newline; the last one may be cut. */
function* linesOf(recording: string | Uint8Array): Generator<string, void> {
  if (typeof recording === "string") return yield* recording.split("\n");
  const decoder = new TextDecoder();
  for (let at = 0; at < recording.length;) {
    // At least one line, as far as a newline.
    const last = recording.subarray(at, at + BLOCK_BYTES).lastIndexOf(NEWLINE);
    const next = last < 0 ? recording.indexOf(NEWLINE, at) : at + last;
    const end = next < 0 ? recording.length : next;
    yield* decoder.decode(recording.subarray(at, end)).split("\n");
    at = end + 1;
  }
}

function parseHeader(line: string): RecordingHeader {
  if (line.trim() === "") throw new RecordingError(EMPTY);
  const header = parseObject(line);
  if (header === undefined || header.type !== "trace") {
    throw new RecordingError("its first line is not that of a trace");
  }
  const { version, timeMs, timestampNs, processors, command, cwd, bootId, kernel, pid, cgroup, traceParent } =
    header;
  if (typeof version !== "number" || version < 1) throw new RecordingError("it has no version");
  if (version > RECORDING_VERSION) {
    throw new RecordingError(
      `it is of version ${version}, and this program reads ${RECORDING_VERSION}: update it`,
    );
  }
  if (
    typeof timeMs !== "number" || !(timeMs >= 0 && timeMs <= LATEST_MS) ||
    nanoseconds(timestampNs) === undefined || typeof cwd !== "string" ||
    typeof processors !== "number" || !(processors >= 1) || !isTextArray(command)
  ) throw new RecordingError("its first line is incomplete");
  return {
    type: "trace",
    version,
    timeMs,
    timestampNs: timestampNs as string,
    processors,
    command,
    cwd,
    bootId: typeof bootId === "string" ? bootId : undefined,
    kernel: typeof kernel === "string" ? kernel : undefined,
    pid: typeof pid === "number" ? pid : undefined,
    cgroup: typeof cgroup === "string" ? cgroup : undefined,
    traceParent: typeof traceParent === "string" ? traceParent : undefined,
  };
}

function checkEnd(
  { timestampNs, events, lost, status, usageRefusal }: RecordedEvent,
): RecordingEnd | undefined {
  if (nanoseconds(timestampNs) === undefined || typeof events !== "number" || typeof lost !== "number") {
    return undefined;
  }
  return {
    type: "end",
    timestampNs: timestampNs as string,
    events,
    lost,
    status: typeof status === "number" ? status : null,
    usageRefusal: typeof usageRefusal === "string" ? usageRefusal : undefined,
  };
}

/** A line as an object with a type, or undefined if it is none: then the file was cut here. */
function parseObject(line: string): RecordedEvent | undefined {
  try {
    const value: unknown = JSON.parse(line);
    const type = (value as { type?: unknown } | null)?.type;
    return typeof type === "string" ? value as RecordedEvent : undefined;
  } catch {
    return undefined;
  }
}

/** A time as an event has it, or as a recording does; undefined if it is none. */
export function nanoseconds(value: unknown): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "string" && /^\d{1,19}$/.test(value) ? BigInt(value) : undefined;
}

/** Whether a value is an array of texts. */
export function isTextArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
