import type { EventClock, TimeText } from "./clock.ts";
import type { ShownEvent } from "../library.ts";
import { safeJson } from "./safe_text.ts";

/**
 * Makes one line of JSON of an event: `time` (wall clock, ISO 8601), then the fields of the library's event by their
 * own names, its `process` among them, and for the exit of a process `durationNs`. A bigint is a decimal string,
 * bytes are hexadecimal, and what is not known is null. Text that was not UTF-8 has its bytes as `\udc80` to `\udcff`.
 */
export class JsonMaker {
  readonly #clock: EventClock;
  readonly #times: TimeText;
  readonly #lists = new WeakMap<readonly unknown[], string>();

  /** Keeps the clock. */
  constructor(clock: EventClock, times: TimeText) {
    this.#clock = clock;
    this.#times = times;
  }

  /** The line of an event, without its end. */
  make(event: ShownEvent): string {
    let json = `{"time":"${this.#times.iso(this.#clock.wallTimeMs(event.timestampNs))}"`;
    for (const name in event) {
      // The process comes last.
      if (name === "process") continue;
      json += `,"${name}":${this.#value((event as unknown as Readonly<Record<string, unknown>>)[name])}`;
    }
    const { process } = event;
    if (event.type === "exit" && !event.thread) {
      const startNs = process?.startNs;
      json += `,"durationNs":${startNs === undefined ? "null" : `"${event.timestampNs - startNs}"`}`;
    }
    return `${json},"process":${process === undefined ? "null" : this.#object(process)}}`;
  }

  #object(value: object): string {
    let json = "";
    for (const name in value) {
      json += `${json === "" ? "{" : ","}"${name}":${
        this.#value((value as Readonly<Record<string, unknown>>)[name])
      }`;
    }
    return json === "" ? "{}" : `${json}}`;
  }

  #value(value: unknown): string {
    switch (typeof value) {
      case "string":
        return safeJson(value);
      case "number":
      case "boolean":
        return String(value);
      case "bigint":
        return `"${value}"`;
      case "object":
        if (value === null) return "null";
        if (value instanceof Uint8Array) return `"${hex(value)}"`;
        return Array.isArray(value) ? this.#list(value) : this.#object(value);
      default:
        return "null";
    }
  }

  /** A command line is written once, also where it is shared by all the children of a process. */
  #list(list: readonly unknown[]): string {
    let json = this.#lists.get(list);
    if (json === undefined) {
      json = `[${list.map((item) => this.#value(item)).join(",")}]`;
      this.#lists.set(list, json);
    }
    return json;
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
