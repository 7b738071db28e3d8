import { formatGoal, formatNumber, formatRatio } from "./format.ts";
import { isReached, type Line, type Section } from "./section.ts";

/** A whole run of the benchmark, as it is stored. */
export interface Results {
  /** ISO 8601, to the minute. */
  readonly date: string;
  readonly machine: readonly string[];
  readonly rounds: number;
  readonly sections: readonly Section[];
}

/** RESULTS.md: the newest run, and what the runs before it gave for the goals. */
export function renderReport(runs: readonly Results[]): string {
  const [newest] = runs;
  if (newest === undefined) throw new RangeError("there is no run to report");
  return [
    "# What it costs, measured beside the others",
    "",
    "Written by `npm run bench`. Ratios are medians over the rounds of one run, in which every contender runs in turn",
    "(the range of the rounds in parentheses): they hold from machine to machine, absolute numbers do not.",
    "",
    `Run of ${newest.date}, ${newest.rounds} rounds:`,
    "",
    ...newest.machine.map((line) => `- ${line}`),
    "",
    "![CPU per event](results.svg)",
    "",
    "## The goals",
    "",
    ...goalTable(runs),
    "",
    ...newest.sections.flatMap(renderSection),
  ].join("\n").trimEnd() + "\n";
}

function goalTable(runs: readonly Results[]): string[] {
  const columns = runs.map(({ date }) => date);
  const rows: string[][] = [];
  for (const section of runs[0]!.sections) {
    for (const line of section.lines) {
      if (line.goal === undefined) continue;
      const cells = runs.map((run) => {
        const same = find(run, section.title, line);
        if (same === undefined) return "";
        const mark = isReached(same) ? "reached" : "**missed**";
        return `${same.ratio === undefined ? formatValue(same) : same.ratio.median.toFixed(2)} ${mark}`;
      });
      const against = line.against === undefined ? "" : ` against ${line.against}`;
      rows.push([section.title, `${line.subject}${against}`, formatGoal(line.goal), ...cells]);
    }
  }
  return table(["measure", "subject", "goal", ...columns], rows);
}

function find(run: Results, title: string, line: Line): Line | undefined {
  return run.sections.find((section) => section.title === title)?.lines.find((other) =>
    other.subject === line.subject && other.against === line.against && other.goal !== undefined
  );
}

/** One section, ratios before absolute numbers. */
export function renderSection({ title, text, lines, problems }: Section): string[] {
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
    ...table(["subject", "against", "ratio", "goal", "value", "note"], rows),
    ...(problems.length === 0
      ? []
      : ["", "What did not go right:", "", ...problems.map((text) => `- ${text}`)]),
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
