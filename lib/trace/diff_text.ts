import { formatDuration } from "../wire/duration.ts";
import { safeText } from "../wire/escape.ts";
import type { DiffRow, DiffSide, TraceDiff } from "./diff.ts";
import { durationText } from "./findings.ts";
import { table, totalsText } from "./text.ts";

/** How many rows each list has. */
const ROWS = 12;
/** What a command line is cut to. */
const COMMAND_CHARACTERS = 120;
/** Changes below this are noise, as a part of the total or in nanoseconds. */
const LEAST_PART = 0.02;
const LEAST_NS = 1_000_000;

/** How two traces differ, as text for a terminal: the totals of both, then what changed most. `~`: events were lost. */
export function formatDiff({ before, after, programs, commands }: TraceDiff): string {
  const leastNs = Math.max(LEAST_NS, LEAST_PART * Math.max(before.durationNs, after.durationNs));
  const slower = commands.filter((row) => isIn(row, "both") && row.changeNs >= leastNs);
  const faster = commands.filter((row) => isIn(row, "both") && row.changeNs <= -leastNs);
  const parts = [
    `Before: ${totalsText(before)}After: ${totalsText(after)}` +
    `${durationText(before.durationNs)} -> ${durationText(after.durationNs)}, ${
      changeText(after.durationNs - before.durationNs)
    }\n`,
    table("Programs", [
      ["Change", "Runs", "Total", "CPU", "Program"],
      ...programs.filter(isChanged).slice(0, ROWS).map(programRow),
    ]),
    table("Slower", slower.slice(0, ROWS).map(commandRow)),
    table("Faster", faster.slice(0, ROWS).map(commandRow)),
    table("New", commands.filter((row) => isIn(row, "after")).slice(0, ROWS).map(commandRow)),
    table("Gone", commands.filter((row) => isIn(row, "before")).slice(0, ROWS).map(commandRow)),
    table("Fail now", failures(commands).slice(0, ROWS).map(commandRow)),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function isIn({ before, after }: DiffRow, where: "before" | "after" | "both"): boolean {
  if (where === "both") return before !== undefined && after !== undefined;
  return where === "before" ? after === undefined : before === undefined;
}

function isChanged({ before, after, changeNs }: DiffRow): boolean {
  return before?.runs !== after?.runs || Math.abs(changeNs) >= LEAST_NS;
}

function failures(rows: readonly DiffRow[]): DiffRow[] {
  return rows.filter(({ before, after }) => (after?.failed ?? 0) > (before?.failed ?? 0));
}

function programRow({ name, before, after, changeNs }: DiffRow): string[] {
  return [
    before === undefined ? "new" : after === undefined ? "gone" : changeText(changeNs),
    pair(before, after, ({ runs }) => String(runs)),
    pair(before, after, ({ totalNs }) => durationText(totalNs)),
    pair(before, after, ({ cpuNs }) => cpuNs === undefined ? "?" : durationText(cpuNs)),
    `${mark(before, after)}${safeText(name)}`,
  ];
}

function commandRow({ name, before, after, changeNs }: DiffRow): string[] {
  return [
    changeText(changeNs),
    pair(before, after, ({ totalNs }) => durationText(totalNs)),
    `${mark(before, after)}${name.slice(0, COMMAND_CHARACTERS)}`,
  ];
}

function mark(before: DiffSide | undefined, after: DiffSide | undefined): string {
  return before?.uncertain || after?.uncertain ? "~ " : "";
}

function pair(
  before: DiffSide | undefined,
  after: DiffSide | undefined,
  text: (side: DiffSide) => string,
): string {
  const [left, right] = [before, after].map((side) => side === undefined ? "-" : text(side));
  return left === right ? left! : `${left} -> ${right}`;
}

function changeText(ns: number): string {
  return `${ns < 0 ? "-" : "+"}${formatDuration(BigInt(Math.round(Math.abs(ns))))}`;
}
