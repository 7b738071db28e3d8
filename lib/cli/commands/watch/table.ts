import { cutToWidth, padEndToWidth, padPlainEnd, padPlainStart, textWidth } from "../../io/text.ts";
import { type EventClock, TimeText } from "../../io/time.ts";
import type { Output } from "../../io/output.ts";
import type { ProcessEvent, ProcessInfo } from "../../../../mod.ts";
import type { Selection } from "./kinds.ts";
import { type IdNames, type Row, RowMaker } from "./row.ts";

/** No terminal line is longer than this, in characters. */
const TERMINAL_LIMIT = 2048;

/** Formats events as table lines that fit the current width of the terminal. */
export class Table {
  readonly #output: Output;
  readonly #rows: RowMaker;
  readonly #lastSeen: LastSeen | undefined;
  #layout: Layout;

  /** A table for these events. */
  constructor(
    clock: EventClock,
    selection: Selection,
    output: Output,
    names: { readonly users: IdNames; readonly groups: IdNames },
  ) {
    this.#output = output;
    this.#layout = layoutFor(output.width());
    const commandLimit = output.width() === undefined ? Infinity : TERMINAL_LIMIT;
    this.#rows = new RowMaker({ clock, times: new TimeText(), commandLimit, ...names });
    // Only these rows show the previous name or user.
    if (selection.kinds.has("comm") || selection.kinds.has("uid")) this.#lastSeen = new LastSeen();
  }

  /** Adapts to the current width of the terminal. */
  fit(): void {
    const width = this.#output.width();
    if (width !== undefined && width !== this.#layout.width) this.#layout = layoutFor(width);
  }

  /** The column titles, without a newline. */
  header(): string {
    return formatHeader(this.#layout);
  }

  /** The line of an event, without a newline. */
  line(event: ProcessEvent): string {
    return formatRow(this.#rows.make(event, this.#lastSeen?.before(event)), this.#layout);
  }
}

/** The widths of the columns. The command takes the rest of the line. */
export interface Layout {
  /** Columns of the terminal; Infinity if lines are not cut. */
  readonly width: number;
  /** 12 with milliseconds, 8 without. */
  readonly time: number;
  /** 0 if the column is left out. */
  readonly user: number;
  readonly info: number;
}

const EVENT = 6;
const PID = 7;
const DURATION = 8;

/** The column titles. */
const TITLES: Row = {
  time: "Time",
  event: "Event",
  pid: "PID",
  user: "User",
  info: "Info",
  duration: "Duration",
  command: "Command",
};

/** The layout for a terminal of `width` columns, or, if undefined, for a file or pipe, where no line is cut. */
export function layoutFor(width: number | undefined): Layout {
  if (width === undefined) return { width: Infinity, time: 12, user: 8, info: 20 };
  if (width >= 120) return { width, time: 12, user: 8, info: 20 };
  // Every layout has room for "parent " and the longest pid, seven digits.
  if (width >= 100) return { width, time: 12, user: 8, info: 14 };
  // A narrow terminal drops the user, then the milliseconds, in favour of the command.
  if (width >= 80) return { width, time: 12, user: 0, info: 14 };
  return { width, time: 8, user: 0, info: 14 };
}

/** The column titles, without a newline. */
export function formatHeader(layout: Layout): string {
  return formatRow(TITLES, layout);
}

/** One line, without a newline. A cell that is too long shifts the following ones; terminal lines are cut. */
export function formatRow(row: Row, layout: Layout): string {
  const whole = layout.width === Infinity;
  const user = layout.user === 0
    ? ""
    : `${padEndToWidth(whole ? row.user : cutToWidth(row.user, layout.user), layout.user)} `;
  const info = whole ? row.info : fittingInfo(row, layout.info);
  const time = row.time.length > layout.time
    ? row.time.slice(0, layout.time)
    : padPlainEnd(row.time, layout.time);
  const before = `${time} ${padPlainEnd(row.event, EVENT)} ${padPlainStart(row.pid, PID)} ${user}` +
    `${padEndToWidth(info, layout.info)} ${padPlainStart(row.duration, DURATION)} `;
  if (whole) return row.command === "" ? before.trimEnd() : before + row.command;
  const left = layout.width - textWidth(before);
  const line = left > 0 ? before + cutToWidth(row.command, left) : cutToWidth(before.trimEnd(), layout.width);
  return row.command === "" ? line.trimEnd() : line;
}

/** The longest form that fits into the column, or else the shortest one. */
function fittingInfo({ info, shorterInfo = [] }: Row, columns: number): string {
  return [info, ...shorterInfo].find((form) => textWidth(form) <= columns) ?? shorterInfo.at(-1) ?? info;
}

/** How many processes are remembered; the least recently seen one is dropped first. */
const LIMIT = 65_536;

/** Remembers each process as of its previous event, because an event only carries the new name and ids. */
export class LastSeen {
  readonly #limit: number;
  readonly #last = new Map<number, ProcessInfo>();

  /** `limit` is for tests. */
  constructor(limit: number = LIMIT) {
    this.#limit = limit;
  }

  /** Records an event, and returns the process as it was before. */
  before(event: ProcessEvent): ProcessInfo | undefined {
    const { process } = event;
    if (process === undefined) return undefined;
    const { pid } = process;
    const before = this.#last.get(pid);
    this.#last.delete(pid);
    if (event.type === "exit" && !event.thread) return before;
    this.#last.set(pid, process);
    if (this.#last.size > this.#limit) this.#last.delete(this.#last.keys().next().value!);
    // A fork: the previous entry was another process with the same pid.
    return event.type === "fork" && !event.thread ? undefined : before;
  }
}
