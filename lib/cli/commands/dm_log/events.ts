import type { JsonValue } from "../../../connector/protocol.ts";
import type { DirtyLogStats } from "../../../protocols/dm_log/mod.ts";
import { jsonLine, jsonText } from "../../../wire/json_text.ts";
import type { Output } from "../../io/output.ts";
import { safeSentence, safeText } from "../../../wire/escape.ts";
import { TimeText } from "../../io/time.ts";

/** How much text may wait for the output. */
const MAX_WAITING = 1 << 20;
/** How often the same error is repeated on standard error: a refused mirror keeps asking. */
const SAME_ERROR_MS = 60_000;
/** How many different errors are remembered. */
const MAX_ERRORS = 1000;

/** An event of a dirty log server. */
export type DmLogEvent =
  /** The server is listening. If the module is not `loaded`, creating the first mirror loads it. */
  | {
    readonly type: "serving";
    readonly core: boolean;
    readonly disk: string | null;
    readonly loaded: boolean;
    readonly port: number;
  }
  /** The kernel created a log; `again` if its mirror existed while there was no server. */
  | {
    readonly type: "created";
    readonly uuid: string;
    readonly log: string;
    readonly regions: number;
    readonly regionSize: number;
    readonly again: boolean;
  }
  /** The mirror was resumed. */
  | { readonly type: "resumed"; readonly uuid: string; readonly inSync: number; readonly regions: number }
  /** All regions are in sync now. */
  | { readonly type: "in_sync"; readonly uuid: string; readonly regions: number }
  /** A leg failed: the region is no longer in sync. */
  | { readonly type: "out_of_sync"; readonly uuid: string; readonly region: string }
  /** The mirror was suspended. */
  | { readonly type: "suspended"; readonly uuid: string }
  /** The kernel removed the log. */
  | { readonly type: "removed"; readonly uuid: string }
  /** A request for a log that an earlier server had; the kernel will create it again. */
  | { readonly type: "unknown_log"; readonly uuid: string; readonly request: string }
  /** Part of a log file is damaged: its regions will be resynchronized. */
  | {
    readonly type: "damage";
    readonly path: string;
    readonly firstRegion: number;
    readonly regions: number;
  }
  /** A request was answered with an error. */
  | {
    readonly type: "error";
    readonly uuid: string | null;
    readonly request: string | null;
    readonly message: string;
  }
  /** With --verbose: a request and its answer. */
  | {
    readonly type: "request";
    readonly uuid: string;
    readonly request: string;
    readonly regions: readonly string[];
    readonly answer: JsonValue;
  }
  /** Lines were dropped because the output was not read. */
  | { readonly type: "unwritten"; readonly count: number }
  /** The server has closed all logs. `left` counts those that the kernel still has. */
  | { readonly type: "ended"; readonly left: number; readonly stats: DirtyLogStats };

/** Whether an event needs attention and so goes to standard error. */
export function isTrouble(event: DmLogEvent): boolean {
  const { type } = event;
  return type === "damage" || type === "error" || type === "out_of_sync" ||
    (event.type === "ended" && event.left > 0);
}

/** An event as text, with its newline. Safe for a terminal: names come from whoever created the mirror. */
export function dmLogText(event: DmLogEvent, wallMs: number, times: TimeText): string {
  return `${times.local(wallMs)} ${dmLogSentence(event)}\n`;
}

/** An event as one line of JSON, with its newline. */
export function dmLogJson(event: DmLogEvent, wallMs: number, times: TimeText): string {
  const { type, ...rest } = event;
  const fields = event.type === "ended" ? { left: event.left, ...statsObject(event.stats) } : rest;
  return jsonLine({ time: times.iso(wallMs), type, ...fields });
}

/** An event as a sentence. */
export function dmLogSentence(event: DmLogEvent): string {
  switch (event.type) {
    case "serving": {
      const kinds = [event.core ? ["core logs"] : [], event.disk === null ? [] : [diskText(event.disk)]];
      const waits = event.loaded
        ? ""
        : "; dm-log-userspace is not loaded yet: the first mirror loads it, if this kernel has the module";
      return `serving ${kinds.flat().join(" and ")}, as port ${event.port}${waits}`;
    }
    case "created":
      return `${event.again ? "took over" : "created"} ${safeText(event.uuid)}: ${safeText(event.log)}, ` +
        `${plural(event.regions, "region")} of ${plural(event.regionSize, "sector")}`;
    case "resumed":
      return `resumed ${safeText(event.uuid)}: ${event.inSync} of ${event.regions} in sync`;
    case "in_sync":
      return `in sync ${safeText(event.uuid)}: all ${plural(event.regions, "region")}`;
    case "out_of_sync":
      return `LEG FAILED ${safeText(event.uuid)}: region ${event.region} is no longer in sync on all legs`;
    case "suspended":
    case "removed":
      return `${event.type} ${safeText(event.uuid)}`;
    case "unknown_log":
      return `got ${event.request} for ${safeText(event.uuid)}, a log of an earlier server: ` +
        "the kernel will create it again";
    case "damage":
      return `DAMAGED ${safeText(event.path)}: ${
        plural(event.regions, "region")
      } lost, starting at ${event.firstRegion}; ` +
        "they will be resynchronized";
    case "error": {
      const owner = event.uuid === null ? "" : ` ${safeText(event.uuid)}`;
      return `REFUSED ${event.request ?? "a message"}${owner}: ${safeText(event.message)}`;
    }
    case "request": {
      const regions = event.regions.length === 0 ? "" : ` ${event.regions.join(",")}`;
      const answer = event.answer === null ? "" : `: ${jsonText(event.answer)}`;
      return `${event.request} ${safeText(event.uuid)}${regions}${answer}`;
    }
    case "unwritten":
      return `${plural(event.count, "line")} dropped: the output was not read`;
    case "ended":
      return `ended: ${statsText(event.stats)}${leftText(event.left)}`;
  }
}

function diskText(folder: string): string {
  return `disk logs in ${safeText(folder)}`;
}

function statsText({ answered, failed, malformed }: DirtyLogStats): string {
  const requests = Object.values(answered).reduce((sum, count) => sum + count, 0);
  return `${plural(requests, "request")} answered, ${failed} with an error, ${malformed} malformed`;
}

function leftText(left: number): string {
  if (left === 0) return "";
  const mirrors = left === 1 ? "the mirror of one log waits" : `the mirrors of ${left} logs wait`;
  return `; ${mirrors} until a server is back`;
}

function statsObject({ answered, failed, malformed }: DirtyLogStats): { readonly [name: string]: JsonValue } {
  return { answered: { ...answered }, failed, malformed };
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}

/**
 * Writes the events of a server. The kernel waits for the server, so the server never waits for its output: lines that
 * a slow reader has no room for are dropped and counted, and a closed output is ignored.
 */
export class EventWriter {
  readonly #output: Output;
  readonly #writeError: (text: string) => void;
  readonly #json: boolean;
  readonly #times: TimeText = new TimeText();
  /** When each error was last written to standard error. */
  readonly #reportedMs = new Map<string, number>();
  #waiting = "";
  #dropped = 0;
  #closed = false;
  #writing: Promise<void> | undefined;

  /** `writeError` writes to standard error. */
  constructor(output: Output, writeError: (text: string) => void, json: boolean) {
    this.#output = output;
    this.#writeError = writeError;
    this.#json = json;
  }

  /** Writes an event, without waiting. Trouble goes to standard error, and as JSON to standard output as well. */
  write(event: DmLogEvent): void {
    const trouble = isTrouble(event);
    if (trouble && this.#isNew(event)) this.#writeError(`cnctl: ${safeSentence(dmLogSentence(event))}\n`);
    if (this.#closed || (trouble && !this.#json)) return;
    if (this.#waiting.length > MAX_WAITING) this.#dropped++;
    else this.#waiting += this.#line(event);
    this.#writing ??= this.#writeAll();
  }

  /** Waits until everything is written, but at most `ms`. */
  async finish(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
  }

  #isNew(event: DmLogEvent): boolean {
    if (event.type !== "error") return true;
    const sentence = dmLogSentence(event);
    const reportedMs = this.#reportedMs.get(sentence);
    const now = performance.now();
    if (reportedMs !== undefined && now - reportedMs < SAME_ERROR_MS) return false;
    if (this.#reportedMs.size >= MAX_ERRORS) this.#reportedMs.clear();
    this.#reportedMs.set(sentence, now);
    return true;
  }

  #line(event: DmLogEvent): string {
    return (this.#json ? dmLogJson : dmLogText)(event, Date.now(), this.#times);
  }

  async #writeAll(): Promise<void> {
    try {
      while (this.#waiting !== "" && !this.#closed) {
        const text = this.#waiting;
        this.#waiting = this.#dropped === 0 ? "" : this.#line({ type: "unwritten", count: this.#dropped });
        this.#dropped = 0;
        if (!(await this.#output.write(text))) this.#closed = true;
      }
    } catch (error) {
      this.#closed = true;
      this.#writeError(`cnctl: ${safeSentence((error as Error).message)}: the server keeps running\n`);
    }
    this.#waiting = "";
    this.#writing = undefined;
  }
}
