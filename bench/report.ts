import { formatGoal, formatNumber, formatRatio } from "./format.ts";
import { type Line, type Section, verdict } from "./section.ts";

/** A whole run of the benchmark, as it is stored. */
export interface Results {
  /** ISO 8601, to the minute. */
  readonly date: string;
  readonly machine: readonly string[];
  readonly rounds: number;
  readonly sections: readonly Section[];
  /** Why goals were reached or missed in this run, by section title: one line each, added by hand. */
  readonly reasons?: { readonly [title: string]: string };
}

const RUNTIMES = ["bun", "deno", "node"] as const;

/** RESULTS.md: the goals, with a table for each measurement that has one. */
export function renderGoals({ date, machine, sections, reasons }: Results): string {
  const lines = sections.flatMap((section) => section.lines).filter(({ goal }) => goal !== undefined);
  const reached = lines.filter((line) => verdict(line)!.reached);
  return [
    "# Benchmark results",
    "",
    "Written by `npm run bench`, which runs this project's programs in turn with C programs, forkstat and extrace.",
    `Run of ${date}: ${reached.length} of ${lines.length} goals were reached. [DETAILS.md](DETAILS.md) has every figure.`,
    "",
    ...machine.map((line) => `- ${line}`),
    "",
    "A cell shows the median and the goal. A missed goal is **bold**. `~` means that the rounds disagree about the goal, and `1x`",
    "that there was only one round. Values without a unit are ratios within a round. Ratios carry over to other machines, absolute",
    "values do not.",
    "",
    ...sections.flatMap((section) => renderGoalsOf(section, reasons?.[section.title])),
  ].join("\n").trimEnd() + "\n";
}

/** DETAILS.md: all measurements. */
export function renderDetails({ date, sections }: Results): string {
  return [
    "# Benchmark details",
    "",
    `All figures of the run of ${date}. [RESULTS.md](RESULTS.md) has the goals and the machine. Ratios and values are medians over the`,
    "rounds, with the range of the rounds in parentheses.",
    "",
    ...sections.flatMap(renderSection),
  ].join("\n").trimEnd() + "\n";
}

function renderGoalsOf({ title, lines }: Section, reason: string | undefined): string[] {
  const rows = new Map<string, Map<string, Line>>();
  for (const line of lines) {
    if (line.goal === undefined) continue;
    const [, runtime, subject] = /^(bun|deno|node),? (.*)$/.exec(line.subject)!;
    const against = line.against?.replace(/^(bun|deno|node) /, "");
    const row = against === undefined ? subject! : `${subject} against ${against}`;
    if (!rows.has(row)) rows.set(row, new Map());
    rows.get(row)!.set(runtime!, line);
  }
  if (rows.size === 0) return [];
  return [
    `## ${title}`,
    "",
    ...(reason === undefined ? [] : [reason, ""]),
    ...table(
      ["", ...RUNTIMES],
      [...rows].map(([row, cells]) => [
        row,
        ...RUNTIMES.map((runtime) => formatCell(cells.get(runtime))),
      ]),
    ),
    "",
  ];
}

function formatCell(line: Line | undefined): string {
  if (line === undefined) return "";
  const { reached, doubt } = verdict(line)!;
  const value = line.ratio === undefined ? formatValue(line) : line.ratio.median.toFixed(2);
  const mark = { "one round": " 1x", "rounds disagree": " ~" }[doubt ?? ""] ?? "";
  return `${reached ? value : `**${value}**`} (${formatGoal(line.goal)})${mark}`;
}

/** One section, ratios before absolute numbers. */
export function renderSection({ title, text, lines, problems, measured }: Section): string[] {
  const rows = lines.map((line) => [
    line.subject,
    line.against ?? "",
    formatRatio(line),
    formatGoal(line.goal),
    formatValue(line),
    line.note ?? "",
  ]);
  return [
    `## ${title}`,
    "",
    text,
    "",
    `${roundsOf(lines)}${
      measured === undefined ? "" : `, measured ${measured.date} at commit ${measured.commit}`
    }.`,
    "",
    ...table(["subject", "against", "ratio", "goal", "value", "note"], rows),
    ...(problems.length === 0 ? [] : ["", "Problems:", "", ...problems.map((text) => `- ${text}`)]),
    "",
  ];
}

function formatValue({ value, unit }: Line): string {
  return `${formatNumber(value.median)} ${unit}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [row(head), row(head.map(() => "---")), ...rows.map(row)];
}

/** The number of rounds that the lines have, which can be fewer than asked for. */
function roundsOf(lines: readonly Line[]): string {
  const counts = lines.map(({ value }) => value.count);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `Rounds: ${most}` : `Rounds: ${least} to ${most}`;
}
