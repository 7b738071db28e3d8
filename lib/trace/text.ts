import { safeText, shellQuote } from "../wire/escape.ts";
import { criticalShares, type ProgramSum, sumByProgram } from "./analysis.ts";
import { durationText, findingsOf } from "./findings.ts";
import { hasFailed, lastImage, programName, titleOf, type Trace, type TraceProcess } from "./trace.ts";

/** How many rows each list has. */
const ROWS = 12;
/** How many losses are listed. */
const LOSSES = 5;
/** What a command line is cut to. */
const COMMAND_CHARACTERS = 100;

/**
 * A trace as text for a terminal: totals, what the time was spent on, programs, failures, and findings in words.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { buildTrace, formatText, parseRecording } from "kernel-connector/trace";
 *
 * const recording = [
 *   '{"type":"trace","version":1,"timeMs":0,"timestampNs":"1000","processors":2,"command":["true"],"cwd":"/"}',
 *   '{"type":"fork","timestampNs":"1000","pid":7,"parentPid":1,"thread":false}',
 *   '{"type":"exec","timestampNs":"2000","pid":7,"process":{"comm":"true","commandLine":["true"]}}',
 *   '{"type":"exit","timestampNs":"4001000","pid":7,"thread":false,"exitCode":0,"signal":null}',
 * ].join("\n");
 * assert.match(formatText(buildTrace(parseRecording(recording))), /1 process in 4\.00ms/);
 * ```
 */
export function formatText(trace: Trace): string {
  const sums = sumByProgram(trace);
  const parts = [
    totalsText(trace),
    table("Critical path", criticalRows(trace)),
    table("Programs", programRows(sums)),
    table("Failures", failureRows(trace)),
    list("Findings", findingsOf(trace, sums)),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

/** The totals of a trace, and what is wrong with it. */
export function totalsText(trace: Trace): string {
  const { header, processes, durationNs, status, losses, complete } = trace;
  const failed = processes.filter(hasFailed).length;
  const cpuNs = sumOf(processes, ({ usage }) => usage?.cpuNs);
  const lines = [
    `${titleOf(header, COMMAND_CHARACTERS)}: ` +
    `${processes.length} ${processes.length === 1 ? "process" : "processes"} in ${durationText(durationNs)}` +
    `${failed === 0 ? "" : `, ${failed} failed`}${status === null ? "" : `, exit status ${status}`}`,
  ];
  if (cpuNs !== undefined && durationNs > 0) {
    const busy = cpuNs / durationNs;
    lines.push(`CPU ${durationText(cpuNs)}: ${busy.toFixed(2)} of ${header.processors} processors`);
  }
  if (!complete) lines.push("The recording was cut: what came after is missing.");
  if (trace.usageRefusal !== undefined) {
    lines.push(`CPU time and memory are unknown: ${safeText(trace.usageRefusal)}`);
  }
  for (const { ns, count } of losses.slice(0, LOSSES)) {
    const many = count === undefined ? "an unknown number of events" : `${count} events`;
    lines.push(
      `Lost after ${durationText(ns)}: ${many}. Times and programs of what ran then are uncertain (~).`,
    );
  }
  if (losses.length > LOSSES) lines.push(`and at ${losses.length - LOSSES} more times`);
  return `${lines.join("\n")}\n`;
}

function criticalRows(trace: Trace): string[][] {
  return criticalShares(trace).slice(0, ROWS).map(({ process, ns }) => [
    durationText(ns),
    percent(ns, trace.durationNs),
    commandOf(process),
  ]);
}

function programRows(sums: readonly ProgramSum[]): string[][] {
  if (sums.length === 0) return [];
  const rows = sums.slice(0, ROWS).map((sum) => [
    String(sum.runs),
    sum.failed === 0 ? "" : String(sum.failed),
    durationText(sum.totalNs),
    durationText(sum.longestNs),
    sum.cpuNs === undefined ? "?" : durationText(sum.cpuNs),
    sum.peakRssBytes === undefined ? "?" : mebibytes(sum.peakRssBytes),
    `${sum.uncertain ? "~ " : ""}${safeText(sum.name)}`,
  ]);
  return [["Runs", "Failed", "Total", "Longest", "CPU", "Memory", "Program"], ...rows];
}

function failureRows({ processes }: Trace): string[][] {
  const failed = processes.filter(hasFailed);
  const rows = failed.slice(0, ROWS).map((process) => [
    process.signal ?? String(process.exitCode),
    durationText(process.endNs - process.startNs),
    commandOf(process),
  ]);
  if (failed.length > ROWS) rows.push(["", "", `and ${failed.length - ROWS} more`]);
  return rows;
}

/** The command line of a process, marked if events were lost while it ran. */
function commandOf(process: TraceProcess): string {
  const image = lastImage(process);
  const { commandLine, forked } = image;
  const text = commandLine === undefined || commandLine.length === 0 || forked
    ? safeText(programName(image))
    : shellQuote(commandLine, COMMAND_CHARACTERS);
  return process.uncertain ? `~ ${text}` : text;
}

/** Rows below a title, in columns; the last column is as wide as it is. */
export function table(title: string, rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row.map((cell, i) => i === row.length - 1 ? cell : cell.padStart(widths[i]!)).join("  ").trimEnd()
  );
  return `${title}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

function list(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${title}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

function percent(part: number, whole: number): string {
  return whole > 0 ? `${(100 * part / whole).toFixed(0)}%` : "";
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The sum over those whose value is known; undefined if it is known of none. */
function sumOf(
  processes: readonly TraceProcess[],
  value: (process: TraceProcess) => number | undefined,
): number | undefined {
  let sum: number | undefined;
  for (const process of processes) {
    const its = value(process);
    if (its !== undefined) sum = (sum ?? 0) + its;
  }
  return sum;
}
