import type {
  History,
  HistoryCount,
  HistoryCountBy,
  HistoryGap,
  HistoryImage,
} from "../../../history/mod.ts";
import { safeText, shellQuote } from "../../../wire/escape.ts";
import { formatDuration } from "../../../wire/duration.ts";
import { cutToWidth, padEndToWidth, textWidth } from "../../io/text.ts";
import { TimeText } from "../../io/time.ts";

/** The longest command that is shown on a terminal, in characters. */
const TERMINAL_LIMIT = 2048;
/** Parents that are shown before the command; of more, the farthest are left out. */
const MOST_PARENTS = 12;
const DURATION = 8;
const USER = 8;
const UNKNOWN = "?";

/** The titles of the columns. */
const COUNT_TITLES: Readonly<Record<HistoryCountBy, string>> = {
  program: "Program",
  user: "User",
  parent: "Parent",
  cgroup: "Control group",
};

/** Formats programs as lines for a terminal of `width` columns; undefined for a file or a pipe, where none is cut. */
export class HistoryLines {
  readonly #history: History;
  readonly #width: number;
  readonly #showsHost: boolean;
  readonly #times = new TimeText();
  readonly #parents = new Map<number, HistoryImage | undefined>();

  constructor(history: History, width: number | undefined, showsHost: boolean) {
    this.#history = history;
    this.#width = width ?? Infinity;
    this.#showsHost = showsHost;
  }

  /** The column titles. */
  header(): string {
    return this.#line("Started", "Duration", "End", "PID", "User", "Command");
  }

  /** A program with the names of its parents, the nearest last. */
  line(image: HistoryImage): string {
    const chain = this.#chain(image).map(({ comm }) => `${safeText(comm ?? UNKNOWN)} > `).reverse().join("");
    return this.#imageLine(image, chain);
  }

  /** Programs as a tree: each below the one that it came from, if that is among them. */
  *tree(images: readonly HistoryImage[]): Generator<string> {
    const children = Map.groupBy(images, ({ parent }) => parent);
    const ids = new Set(images.map(({ id }) => id));
    // A stack, as chains may be long; roots first.
    const stack = images.filter(({ parent }) => parent === undefined || !ids.has(parent))
      .map((image) => ({ image, depth: 0 })).reverse();
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const { image, depth } = next;
      yield this.#imageLine(image, "  ".repeat(Math.min(depth, 50)));
      const below = children.get(image.id) ?? [];
      for (let i = below.length - 1; i >= 0; i--) stack.push({ image: below[i]!, depth: depth + 1 });
    }
  }

  #imageLine(image: HistoryImage, before: string): string {
    const { startMs, durationMs, pid, user, uid } = image;
    const host = this.#showsHost ? `${safeText(image.host ?? UNKNOWN)}: ` : "";
    return this.#line(
      `${image.existed ? "~" : ""}${dateText(startMs)} ${this.#times.local(startMs)}`,
      durationMs === undefined ? "" : formatDuration(BigInt(Math.round(durationMs * 1e6))),
      endedText(image),
      String(pid),
      safeText(user ?? (uid === undefined ? "" : String(uid))),
      host + before + commandText(image),
    );
  }

  #line(start: string, duration: string, end: string, pid: string, user: string, command: string): string {
    const cells =
      `${start.padStart(24)} ${duration.padStart(DURATION)} ${end.padEnd(9)} ${pid.padStart(7)} ` +
      `${padEndToWidth(this.#width === Infinity ? user : cutToWidth(user, USER), USER)} `;
    if (this.#width === Infinity) return cells + command;
    return cutToWidth(cells + command, this.#width);
  }

  /** Its parents, the nearest first. */
  #chain(image: HistoryImage): HistoryImage[] {
    const chain: HistoryImage[] = [];
    let id = image.parent;
    while (id !== undefined && chain.length < MOST_PARENTS) {
      if (!this.#parents.has(id)) this.#parents.set(id, this.#history.image(id));
      const parent = this.#parents.get(id);
      if (parent === undefined) break; // rotation has removed it
      chain.push(parent);
      id = parent.parent;
    }
    return chain;
  }
}

/** `3`, `SIGSEGV core`, `running`, `exec`, `unknown`. */
function endedText({ ended, exitCode, signal, coreDumped }: HistoryImage): string {
  if (ended !== "exit") return ended;
  if (signal !== undefined) return coreDumped ? `${signal} core` : signal;
  return exitCode === undefined ? "unknown" : String(exitCode);
}

function commandText(
  { commandLine, commandLineTruncated, comm, kernelThread, forked }: HistoryImage,
): string {
  if (commandLine !== undefined && commandLine.length > 0 && !forked) {
    return shellQuote(commandLine, TERMINAL_LIMIT) + (commandLineTruncated ? " …" : "");
  }
  if (comm === undefined) return UNKNOWN;
  return kernelThread ? `[${safeText(comm)}]` : `(${safeText(comm)})`;
}

/** A gap as a line. */
export function gapText({ host, fromMs, toMs, lost, reason }: HistoryGap, showsHost: boolean): string {
  const times = new TimeText();
  const text = (ms: number): string => `${dateText(ms)} ${times.local(ms)}`;
  const where = showsHost ? `${safeText(host ?? UNKNOWN)}: ` : "";
  return `--- ${where}${text(fromMs)} to ${text(toMs)}: ${reasonText(reason, lost)} ---`;
}

function reasonText(reason: HistoryGap["reason"], lost: number | undefined): string {
  switch (reason) {
    case "lost":
      return `${lost ?? "some"} events lost`;
    case "off":
      return "not recorded";
    case "down":
      return "not recorded, and the machine was started anew";
    case "dropped":
      return `${lost ?? "some"} processes dropped, as the database could not be written`;
    case "undelivered":
      return `${lost ?? "some"} processes did not reach the collector`;
    default:
      return safeText(String(reason)); // a later version
  }
}

/** Counts as lines. */
export function countLines(
  counts: readonly HistoryCount[],
  by: HistoryCountBy,
  width: number | undefined,
): string[] {
  const line = (count: string, failed: string, name: string): string => {
    const text = `${count.padStart(10)} ${failed.padStart(10)} ${name}`;
    return width === undefined ? text : cutToWidth(text, width);
  };
  return [
    line("Started", "Failed", COUNT_TITLES[by]),
    ...counts.map(({ name, count, failed }) =>
      line(String(count), String(failed), safeText(name ?? UNKNOWN))
    ),
  ];
}

/** A result of SQL as a table. */
export function tableLines(columns: readonly string[], rows: readonly (readonly unknown[])[]): string[] {
  const cells = [columns, ...rows].map((row) => row.map(cellText));
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => textWidth(row[i]!))));
  return cells.map((row) => row.map((cell, i) => padEndToWidth(cell, widths[i]!)).join("  ").trimEnd());
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "";
  return safeText(value instanceof Uint8Array ? new TextDecoder().decode(value) : String(value));
}

/** `2026-11-25`, local. */
function dateText(ms: number): string {
  const date = new Date(ms);
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
