import type { JsonValue } from "../../../connector/protocol.ts";
import type { DirtyLogStats } from "../../../protocols/dm_log/mod.ts";
import { jsonText } from "../bus/message.ts";
import type { TimeText } from "../../io/clock.ts";
import { safeText } from "../../io/safe_text.ts";

/** What a server of dirty logs tells. */
export type DmLogEvent =
  /** It listens: mirrors can be made from now on, `loaded` or not as far as the making of one loads the module. */
  | {
    readonly type: "serving";
    readonly core: boolean;
    readonly disk: string | null;
    readonly loaded: boolean;
    readonly port: number;
  }
  /** The kernel has a log made; `again` says that its mirror lived on while there was no server. */
  | {
    readonly type: "created";
    readonly uuid: string;
    readonly log: string;
    readonly regions: number;
    readonly regionSize: number;
    readonly again: boolean;
  }
  /** The mirror runs, with so many regions in sync. */
  | { readonly type: "resumed"; readonly uuid: string; readonly inSync: number; readonly regions: number }
  /** All regions are in sync, which they were not. */
  | { readonly type: "in_sync"; readonly uuid: string; readonly regions: number }
  /** A leg failed: the region is no more the same on all. */
  | { readonly type: "out_of_sync"; readonly uuid: string; readonly region: string }
  /** The mirror stands still. */
  | { readonly type: "suspended"; readonly uuid: string }
  /** The kernel lets go of the log. */
  | { readonly type: "removed"; readonly uuid: string }
  /** A question about a log of another server's time; the kernel will have it made again. */
  | { readonly type: "stranger"; readonly uuid: string; readonly request: string }
  /** Part of a log file was not as it was written: its regions will be recovered. */
  | {
    readonly type: "damage";
    readonly path: string;
    readonly firstRegion: number;
    readonly regions: number;
  }
  /** The kernel was answered with an error. */
  | {
    readonly type: "error";
    readonly uuid: string | null;
    readonly request: string | null;
    readonly message: string;
  }
  /** With --verbose: what the kernel asked, and what it was answered. */
  | {
    readonly type: "request";
    readonly uuid: string;
    readonly request: string;
    readonly regions: readonly string[];
    readonly answer: JsonValue;
  }
  /** So many lines were not written, as nobody read. */
  | { readonly type: "unwritten"; readonly count: number }
  /** It has let go of all logs. */
  | { readonly type: "ended"; readonly left: number; readonly stats: DirtyLogStats };

/** Whether an event is told on standard error, too: somebody must look after it. */
export function isTrouble(event: DmLogEvent): boolean {
  const { type } = event;
  return type === "damage" || type === "error" || type === "out_of_sync" ||
    (event.type === "ended" && event.left > 0);
}

/** An event for people, with its end. Safe for a terminal: names come from table lines. */
export function dmLogText(event: DmLogEvent, wallMs: number, times: TimeText): string {
  return `${times.local(wallMs)} ${dmLogSentence(event)}\n`;
}

/** An event as one line of JSON, with its end. */
export function dmLogJson(event: DmLogEvent, wallMs: number, times: TimeText): string {
  const { type, ...rest } = event;
  const fields = event.type === "ended" ? { left: event.left, ...statsObject(event.stats) } : rest;
  return `${jsonText({ time: times.iso(wallMs), type, ...fields as { [name: string]: JsonValue } })}\n`;
}

/** What an event says. */
export function dmLogSentence(event: DmLogEvent): string {
  switch (event.type) {
    case "serving": {
      const kinds = [event.core ? ["core logs"] : [], event.disk === null ? [] : [diskText(event.disk)]];
      const waits = event.loaded
        ? ""
        : "; dm-log-userspace is not loaded yet: the first mirror loads it, if this kernel has that module";
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
      return `LEG FAILED ${safeText(event.uuid)}: region ${event.region} is no more the same on all legs`;
    case "suspended":
    case "removed":
      return `${event.type} ${safeText(event.uuid)}`;
    case "stranger":
      return `asked ${event.request} of ${safeText(event.uuid)}, a log of another server's time: ` +
        "the kernel will have it made again";
    case "damage":
      return `DAMAGED ${safeText(event.path)}: ${
        plural(event.regions, "region")
      } from ${event.firstRegion} on ` +
        "lost, which will be recovered";
    case "error": {
      const whose = event.uuid === null ? "" : ` ${safeText(event.uuid)}`;
      return `REFUSED ${event.request ?? "a message"}${whose}: ${safeText(event.message)}`;
    }
    case "request": {
      const regions = event.regions.length === 0 ? "" : ` ${event.regions.join(",")}`;
      const answer = event.answer === null ? "" : `: ${jsonText(event.answer)}`;
      return `${event.request} ${safeText(event.uuid)}${regions}${answer}`;
    }
    case "unwritten":
      return `${plural(event.count, "line")} left out: nobody read them`;
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
  const whose = left === 1 ? "the mirror of one log waits" : `the mirrors of ${left} logs wait`;
  return `; ${whose} until there is a server again`;
}

function statsObject({ answered, failed, malformed }: DirtyLogStats): { readonly [name: string]: JsonValue } {
  return { answered: { ...answered }, failed, malformed };
}

function plural(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
