import { formatGoal, formatNumber, formatRatio } from "./format.ts";
import { type Line, type Section, verdict } from "./section.ts";

/** A whole run of the benchmark, as it is stored. */
export interface Results {
  /** ISO 8601, to the minute. */
  readonly date: string;
  readonly system: readonly string[];
  readonly rounds: number;
  readonly sections: readonly Section[];
  /** What a reader must know of this run, written by hand into the kept file. */
  readonly remarks?: readonly string[];
}

/** RESULTS.md: the newest run, and what the runs before it gave for the goals. */
export function renderReport(runs: readonly Results[]): string {
  const [newest] = runs;
  if (newest === undefined) throw new RangeError("there is no run to report");
  return [
    "# What it costs, measured beside the others",
    "",
    "Written by `npm run bench`. Ratios are medians over the rounds of a measurement, in which every contender runs in turn",
    "(the range of the rounds in parentheses): they hold from machine to machine, absolute numbers do not.",
    "",
    `Run of ${newest.date}. Each section says how many rounds it had, and when and of what it was measured:`,
    "",
    ...newest.system.map((line) => `- ${line}`),
    "",
    ...(newest.remarks === undefined
      ? []
      : ["Of this run:", "", ...newest.remarks.map((line) => `- ${line}`), ""]),
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
        const { reached, doubt } = verdict(same)!;
        const mark = `${reached ? "reached" : "**missed**"}${doubt === undefined ? "" : ` (${doubt})`}`;
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

/** What the lines really had, not what was asked for: a measurement may make do with fewer. */
function roundsOf(lines: readonly Line[]): string {
  const counts = lines.map(({ value }) => value.count);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? `Rounds: ${most}` : `Rounds: ${least} to ${most}`;
}
