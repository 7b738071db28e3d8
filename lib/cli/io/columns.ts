import { cutToWidth, textWidth } from "./text_width.ts";

/** One line of the table, cell by cell; every cell is safe for a terminal. */
export interface Row {
  /** `HH:MM:SS.mmm`. */
  readonly time: string;
  readonly event: string;
  readonly pid: string;
  readonly user: string;
  readonly info: string;
  /** Shorter forms of `info`, for where it would push what follows out of its column. */
  readonly shorterInfo?: readonly string[];
  readonly duration: string;
  readonly command: string;
}

/** How wide the cells are. The command takes what is left. */
export interface Layout {
  /** Columns of the terminal; Infinity where nothing is cut. */
  readonly width: number;
  /** 12 with milliseconds, 8 without. */
  readonly time: number;
  /** 0 where there is no room for it. */
  readonly user: number;
  readonly info: number;
}

const EVENT = 6;
const PID = 7;
const DURATION = 8;

/** What stands above the columns. */
const TITLES: Row = {
  time: "Time",
  event: "Event",
  pid: "PID",
  user: "User",
  info: "Info",
  duration: "Duration",
  command: "Command",
};

/** The layout for a terminal of so many columns, or for a file or a pipe, where lines are whole. */
export function layoutFor(width: number | undefined): Layout {
  if (width === undefined) return { width: Infinity, time: 12, user: 8, info: 20 };
  if (width >= 120) return { width, time: 12, user: 8, info: 20 };
  // "parent " and seven digits, the longest pid, must have room in all.
  if (width >= 100) return { width, time: 12, user: 8, info: 14 };
  // A narrow terminal keeps what tells events apart, and as much of the command as it can.
  if (width >= 80) return { width, time: 12, user: 0, info: 14 };
  return { width, time: 8, user: 0, info: 14 };
}

/** The line above the columns, without its end. */
export function formatHeader(layout: Layout): string {
  return formatRow(TITLES, layout);
}

/** One line, without its end. A cell that is too long pushes the others; a terminal's line is cut at its width. */
export function formatRow(row: Row, layout: Layout): string {
  const whole = layout.width === Infinity;
  const user = layout.user === 0
    ? ""
    : `${pad(whole ? row.user : cutToWidth(row.user, layout.user), layout.user)} `;
  const info = whole ? row.info : fittingInfo(row, layout.info);
  const time = row.time.length > layout.time ? row.time.slice(0, layout.time) : row.time.padEnd(layout.time);
  const before = `${time} ${row.event.padEnd(EVENT)} ${row.pid.padStart(PID)} ${user}` +
    `${pad(info, layout.info)} ${row.duration.padStart(DURATION)} `;
  if (whole) return row.command === "" ? before.trimEnd() : before + row.command;
  const left = layout.width - textWidth(before);
  const line = left > 0 ? before + cutToWidth(row.command, left) : cutToWidth(before.trimEnd(), layout.width);
  return row.command === "" ? line.trimEnd() : line;
}

/** The longest form that keeps to the column, or the shortest of all. */
function fittingInfo({ info, shorterInfo = [] }: Row, columns: number): string {
  return [info, ...shorterInfo].find((form) => textWidth(form) <= columns) ?? shorterInfo.at(-1) ?? info;
}

/** As `padEnd`, in columns of a terminal. */
function pad(text: string, columns: number): string {
  const padded = text.padEnd(columns);
  const width = textWidth(text);
  return width === text.length || width > columns ? padded : text + " ".repeat(columns - width);
}
