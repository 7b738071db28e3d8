import type { TimeText, WallClock } from "./clock.ts";
import type { ShownEvent, ShownProcess } from "./library.ts";
import { safeJson } from "./safe_text.ts";

/** A process as JSON, and what could have changed since. */
interface Written {
  readonly commandLine: readonly string[] | undefined;
  readonly comm: string | undefined;
  readonly json: string;
}

/**
 * Makes one line of JSON of an event: `time` (wall clock, ISO 8601), then the fields of the library's event by their
 * own names, its `process` among them, and for the exit of a process `durationNs`. A bigint is a decimal string,
 * bytes are hexadecimal, and what is not known is null. Text that was not UTF-8 has its bytes as `\udc80` to `\udcff`.
 */
export class JsonMaker {
  readonly #clock: WallClock;
  readonly #times: TimeText;
  readonly #processes = new WeakMap<ShownProcess, Written>();

  /** Keeps the clock. */
  constructor(clock: WallClock, times: TimeText) {
    this.#clock = clock;
    this.#times = times;
  }

  /** The line of an event, without its end. */
  make(event: ShownEvent): string {
    let json = `{"time":"${this.#times.iso(this.#clock.wallMs(event.timestampNs))}"`;
    for (const name of Object.keys(event)) {
      if (name === "process") continue;
      json += `,"${name}":${jsonOf((event as unknown as Readonly<Record<string, unknown>>)[name])}`;
    }
    const { process } = event;
    if (event.type === "exit" && !event.thread) {
      const startNs = process?.startNs;
      json += `,"durationNs":${startNs === undefined ? "null" : `"${event.timestampNs - startNs}"`}`;
    }
    return `${json},"process":${process === undefined ? "null" : this.#process(process)}}`;
  }

  #process(process: ShownProcess): string {
    const { commandLine, comm } = process;
    const before = this.#processes.get(process);
    if (before !== undefined && before.commandLine === commandLine && before.comm === comm) {
      return before.json;
    }
    const json = jsonOf(process);
    this.#processes.set(process, { commandLine, comm, json });
    return json;
  }
}

function jsonOf(value: unknown): string {
  switch (typeof value) {
    case "string":
      return safeJson(value);
    case "number":
    case "boolean":
      return String(value);
    case "bigint":
      return `"${value}"`;
    case "object":
      break;
    default:
      return "null";
  }
  if (value === null) return "null";
  if (value instanceof Uint8Array) {
    return `"${Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")}"`;
  }
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(",")}]`;
  return `{${Object.entries(value).map(([name, inner]) => `${safeJson(name)}:${jsonOf(inner)}`).join(",")}}`;
}
