import { formatDuration } from "../wire/duration.ts";
import { shellQuote } from "../wire/escape.ts";
import { sumByProgram } from "./analysis.ts";
import { hasFailed, lastImage, programName, titleOf, type Trace } from "./trace.ts";

/** Summaries of CI systems have a limit of about 1 MiB; a reader has a lower one. */
const ROWS = 50;
const COMMAND_CHARACTERS = 200;

/** A trace as GitHub-flavoured Markdown, for the summary of a CI job: totals, programs, failures. */
export function formatMarkdown(trace: Trace): string {
  const { header, processes, durationNs, status, losses, complete } = trace;
  const failed = processes.filter(hasFailed);
  let text =
    `### ${code(titleOf(header, COMMAND_CHARACTERS))}\n\n${processes.length} ${
      processes.length === 1 ? "process" : "processes"
    } in ${duration(durationNs)}` +
    `, ${failed.length} failed${status === null ? "" : `, exit status ${status}`}.\n`;
  if (losses.length > 0) text += "\nEvents were lost: the times and programs marked ~ are uncertain.\n";
  if (!complete) text += "\nThe recording was cut: what came after is missing.\n";
  text += "\n| Program | Runs | Failed | Total | Longest | CPU | Memory |\n|---|--:|--:|--:|--:|--:|--:|\n";
  const sums = sumByProgram(trace);
  for (
    const { name, runs, failed, totalNs, longestNs, cpuNs, peakRssBytes, uncertain } of sums.slice(0, ROWS)
  ) {
    const cpu = cpuNs === undefined ? "?" : duration(cpuNs);
    const memory = peakRssBytes === undefined ? "?" : `${(peakRssBytes / 2 ** 20).toFixed(1)} MiB`;
    text += `| ${uncertain ? "~ " : ""}${code(name)} | ${runs} | ${failed} | ${duration(totalNs)} | ${
      duration(longestNs)
    } | ${cpu} | ${memory} |\n`;
  }
  if (sums.length > ROWS) text += `\nand ${sums.length - ROWS} more programs\n`;
  if (failed.length === 0) return text;
  text += "\n| Status | Lived | Command |\n|---|--:|---|\n";
  for (const process of failed.slice(0, ROWS)) {
    const image = lastImage(process);
    const line = image.commandLine === undefined
      ? programName(image)
      : shellQuote(image.commandLine, COMMAND_CHARACTERS);
    const mark = process.uncertain ? "~ " : "";
    text += `| ${process.signal ?? process.exitCode} | ${mark}${
      duration(process.endNs - process.startNs)
    } | ${code(line)} |\n`;
  }
  if (failed.length > ROWS) text += `\nand ${failed.length - ROWS} more failures\n`;
  return text;
}

/** Text as code: nothing in it is Markdown or HTML, nor ends the cell of a table. */
function code(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "?");
  const escaped = line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replace(/[|`*_\\[\]~$#]/g, (character) => `&#${character.charCodeAt(0)};`);
  return `<code>${escaped}</code>`;
}

function duration(ns: number): string {
  return formatDuration(BigInt(Math.round(ns)));
}
