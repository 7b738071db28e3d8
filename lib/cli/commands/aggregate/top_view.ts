import {
  AGGREGATE_BY,
  type AggregateBy,
  ProcessAggregate,
  type ProcessGroup,
} from "../../../processes/aggregate.ts";
import { paintStyle } from "../../io/colour.ts";
import { cutToWidth, padEndToWidth, textWidth } from "../../io/text.ts";
import { safeSentence } from "../../../wire/escape.ts";
import { lossText } from "../../loss_text.ts";
import { LineInput } from "../../screen/keys.ts";
import type { View } from "../../screen/screen.ts";
import type { IdNames } from "../watch/row.ts";
import type { CpuSampler, GroupCpu } from "./cpu.ts";
import {
  COLUMN,
  type Column,
  countColumn,
  durationColumn,
  failuresText,
  formatLine,
  groupName,
  NAME_TITLES,
} from "./group_table.ts";

/** A line of the table. */
interface Row {
  readonly group: ProcessGroup;
  readonly name: string;
  /** Starts and ends in each second since the last look. */
  readonly startRate: number;
  readonly endRate: number;
  /** Undefined if it is unknown. */
  readonly cpu: GroupCpu | undefined;
}

const COLUMNS: readonly Column<Row>[] = [
  countColumn("New/s", ({ startRate }) => Math.round(startRate)),
  countColumn("Running", ({ group }) => group.running),
  countColumn("Ended", ({ group }) => group.ended),
  countColumn("Failed", ({ group }) => group.failed),
  { title: "CPU", value: ({ cpu }) => cpu?.processors, text: ({ cpu }) => cpuText(cpu) },
  durationColumn("Median", ({ group }) => group.lifetimes.quantileNs(0.5)),
  durationColumn(
    "Longest",
    ({ group }) => group.lifetimes.count === 0 ? undefined : group.lifetimes.longestNs,
  ),
  countColumn("Forks", ({ group }) => group.events.fork),
];
const CPU_COLUMN = COLUMNS.findIndex(({ title }) => title === "CPU");

/** What a line must have room for, besides the numbers. */
const NAME = 14;
const FAILED_WITH = "  Failed with";
/** Lines that are no rows: the summary, the titles, and the keys. */
const OTHER_LINES = 3;

/** What `cnctl top` shows. */
export class TopView implements View {
  readonly #users: IdNames;
  readonly #cpuSampler: CpuSampler;
  readonly #colour: boolean;
  readonly #onBy: () => void;
  #by: AggregateBy;
  #aggregate: ProcessAggregate;
  #sinceMs: number;
  #lookedMs: number;
  /** Starts and ends of each group at the last look. */
  #counted = new Map<ProcessGroup, { readonly starts: number; readonly ended: number }>();
  #rows: Row[] = [];
  #cpu: ReadonlyMap<ProcessGroup, GroupCpu> = new Map();
  #visible: ReadonlySet<ProcessGroup> = new Set();
  #sorted = 0;
  #filter = "";
  #input: LineInput | undefined;
  #first = 0;

  /** `onBy` is called when the user wants another grouping. */
  constructor(
    by: AggregateBy,
    users: IdNames,
    cpu: CpuSampler,
    { colour, onBy, nowMs }: { readonly colour: boolean; readonly onBy: () => void; readonly nowMs: number },
  ) {
    this.#by = by;
    this.#users = users;
    this.#cpuSampler = cpu;
    this.#colour = colour;
    this.#onBy = onBy;
    this.#aggregate = new ProcessAggregate(by);
    this.#sinceMs = this.#lookedMs = nowMs;
  }

  /** What processes are grouped by. */
  get by(): AggregateBy {
    return this.#by;
  }

  /** Begins anew with an empty aggregate, and returns it. */
  begin(nowMs: number): ProcessAggregate {
    this.#aggregate = new ProcessAggregate(this.#by);
    this.#sinceMs = this.#lookedMs = nowMs;
    this.#counted = new Map();
    this.#rows = [];
    return this.#aggregate;
  }

  /** Looks at the aggregate, for the next time that it is drawn. */
  look(nowMs: number): void {
    const seconds = Math.max((nowMs - this.#lookedMs) / 1000, 0.001);
    const groups = this.#aggregate.groups();
    const wanted = this.#sorted === CPU_COLUMN ? new Set(groups) : this.#visible;
    this.#cpu = this.#cpuSampler.look(this.#aggregate.members(), wanted, nowMs);
    const counted = new Map<ProcessGroup, { starts: number; ended: number }>();
    this.#rows = groups.map((group) => {
      const { starts, ended } = group;
      const before = this.#counted.get(group);
      counted.set(group, { starts, ended });
      return {
        group,
        name: groupName(group, this.#by, this.#users),
        startRate: (starts - (before?.starts ?? 0)) / seconds,
        endRate: (ended - (before?.ended ?? 0)) / seconds,
        cpu: this.#cpu.get(group),
      };
    });
    this.#counted = counted;
    this.#lookedMs = nowMs;
  }

  draw(columns: number, rows: number): readonly string[] {
    const all = this.#sortedRows();
    const room = Math.max(rows - OTHER_LINES, 1);
    this.#first = Math.max(Math.min(this.#first, all.length - room), 0);
    const visible = all.slice(this.#first, this.#first + room);
    this.#visible = new Set(visible.map(({ group }) => group));
    const shown = COLUMNS.slice(0, Math.max(Math.floor((columns - NAME) / (COLUMN + 1)), 1));
    const names = Math.min(Math.max(...visible.map(({ name }) => textWidth(name)), NAME), 2 * NAME);
    const lines = [
      cutToWidth(this.#summary(all, columns), columns),
      this.#paint(padEndToWidth(this.#titles(shown, names, columns), columns), "title"),
      ...visible.map((row) => this.#line(row, shown, names, columns)),
    ];
    while (lines.length < rows - 1) lines.push("");
    lines.push(cutToWidth(this.#footer(), columns));
    return lines;
  }

  onKey(key: string): boolean {
    if (this.#input !== undefined) {
      const state = this.#input.take(key);
      this.#filter = state === "cancelled" ? "" : this.#input.text;
      if (state !== "open") this.#input = undefined;
      this.#first = 0;
      return true;
    }
    switch (key) {
      case "q":
        return false;
      case "s":
      case "right":
        this.#sorted = (this.#sorted + 1) % COLUMNS.length;
        break;
      case "S":
      case "left":
        this.#sorted = (this.#sorted + COLUMNS.length - 1) % COLUMNS.length;
        break;
      case "/":
      case "f":
        this.#input = new LineInput(this.#filter);
        break;
      case "b":
        this.#by = AGGREGATE_BY[(AGGREGATE_BY.indexOf(this.#by) + 1) % AGGREGATE_BY.length]!;
        this.#onBy();
        break;
      case "down":
        this.#first++;
        break;
      case "up":
        this.#first--;
        break;
      case "page down":
        this.#first += 10;
        break;
      case "page up":
        this.#first -= 10;
        break;
      case "home":
        this.#first = 0;
        break;
    }
    return true;
  }

  #sortedRows(): readonly Row[] {
    const { value } = COLUMNS[this.#sorted]!;
    const filter = this.#filter.toLowerCase();
    const rows = filter === ""
      ? this.#rows
      : this.#rows.filter(({ name }) => name.toLowerCase().includes(filter));
    return [...rows].sort((a, b) =>
      (value(b) ?? -1) - (value(a) ?? -1) || b.startRate - a.startRate || b.group.running - a.group.running
    );
  }

  /** `412 starts/s, 410 ended/s, 135 running; 3 failed, none lost in 12 s`, or less on a narrow terminal. */
  #summary(rows: readonly Row[], columns: number): string {
    const sum = (value: (row: Row) => number): number => rows.reduce((total, row) => total + value(row), 0);
    const starts = Math.round(sum(({ startRate }) => startRate));
    const ended = Math.round(sum(({ endRate }) => endRate));
    const running = sum(({ group }) => group.running);
    const losses = lossText(this.#aggregate.losses);
    const seconds = Math.round((this.#lookedMs - this.#sinceMs) / 1000);
    const summary = `${starts} starts/s, ${ended} ended/s, ${running} running; ` +
      `${sum(({ group }) => group.failed)} failed, ${losses} in ${seconds} s`;
    // What is cut must not be the losses.
    return textWidth(summary) <= columns
      ? summary
      : `${starts} new/s, ${ended} ended/s, ${running} running; ${losses}`;
  }

  #titles(shown: readonly Column<Row>[], names: number, columns: number): string {
    const name = padEndToWidth(NAME_TITLES[this.#by], names);
    const failures = columns - (COLUMN + 1) * shown.length - names;
    const rest = failures > FAILED_WITH.length ? name + FAILED_WITH : name.trimEnd();
    const line = formatLine(shown.map(({ title }) => title), rest, columns);
    const sorted = shown[this.#sorted];
    if (sorted === undefined) return line; // there is no room for it
    const at = (COLUMN + 1) * this.#sorted + COLUMN - sorted.title.length - 1;
    return `${line.slice(0, at)}>${line.slice(at + 1)}`;
  }

  #line(row: Row, shown: readonly Column<Row>[], names: number, columns: number): string {
    const failures = failuresText(row.group);
    const rest = failures === ""
      ? row.name
      : `${padEndToWidth(cutToWidth(row.name, names), names)}  ${failures}`;
    const line = formatLine(shown.map(({ text }) => text(row)), rest, columns);
    if (row.startRate > 0) return this.#paint(line, "started");
    return row.endRate > 0 ? line : this.#paint(line, "dim");
  }

  #footer(): string {
    if (this.#input !== undefined) return `Filter: ${safeSentence(this.#input.text)}_`;
    const filter = this.#filter === "" ? "" : ` (${safeSentence(this.#filter)})`;
    return `q quit  b by ${this.#by}  s sort by ${
      COLUMNS[this.#sorted]!.title.toLowerCase()
    }  / filter${filter}`;
  }

  #paint(text: string, style: "title" | "started" | "dim"): string {
    return this.#colour ? paintStyle(text, style) : text;
  }
}

/** `12%`, `12%+` if it may be more, `-` if it is unknown. */
function cpuText(cpu: GroupCpu | undefined): string {
  return cpu === undefined ? "-" : `${Math.round(cpu.processors * 100)}%${cpu.atLeast ? "+" : ""}`;
}
