import { formatDuration } from "../wire/duration.ts";
import { safeText, shellQuote } from "../wire/escape.ts";
import { parallelism, type ProgramSum } from "./analysis.ts";
import { lastImage, type Trace } from "./trace.ts";

/** What a command line is cut to. */
const COMMAND_CHARACTERS = 100;
/** Programs that live shorter than this are mostly overhead. */
const SHORT_NS = 2_000_000;

/** What stands out in a trace, in words. */
export function findingsOf(trace: Trace, sums: readonly ProgramSum[]): string[] {
  const { header, processes, durationNs } = trace;
  const found: string[] = [];
  const alone = parallelism(trace)[1] ?? 0;
  if (header.processors > 1 && durationNs > 1e9 && alone > durationNs / 2) {
    found.push(
      `For ${durationText(alone)} of ${
        durationText(durationNs)
      } only one process worked, on ${header.processors} processors.`,
    );
  }
  for (const { name, runs, totalNs } of sums) {
    if (runs >= 100 && totalNs / runs < SHORT_NS) {
      found.push(
        `${safeText(name)} ran ${runs} times for ${
          durationText(totalNs / runs)
        } each: starting it costs more.`,
      );
    }
  }
  const same = new Map<string, { readonly commandLine: readonly string[]; count: number }>();
  for (const process of processes) {
    const { commandLine } = lastImage(process);
    if (commandLine === undefined || commandLine.length < 2) continue;
    const key = commandLine.join("\0");
    const its = same.get(key);
    if (its === undefined) same.set(key, { commandLine, count: 1 });
    else its.count++;
  }
  const often = [...same.values()].filter(({ count }) => count >= 10).sort((a, b) => b.count - a.count);
  for (const { commandLine, count } of often.slice(0, 3)) {
    found.push(`The same command ran ${count} times: ${shellQuote(commandLine, COMMAND_CHARACTERS)}`);
  }
  const left = processes.filter(({ running }) => running).length;
  if (left > 0) {
    found.push(`${left} ${left === 1 ? "process was" : "processes were"} still running at the end.`);
  }
  return found;
}

/** A duration in a few characters. */
export function durationText(ns: number): string {
  return formatDuration(BigInt(Math.round(ns)));
}
