import { formatDuration } from "../wire/duration.ts";
import { safeText, shellQuote } from "../wire/escape.ts";
import { parallelism, type ProgramSum } from "./analysis.ts";
import { lastImage, type Trace, type TraceProcess } from "./trace.ts";

/** What a command line is cut to. */
const COMMAND_CHARACTERS = 100;
/** Programs that live shorter than this are mostly overhead. */
const SHORT_NS = 2_000_000;
/** How often the same command must have run to be worth a word. */
const REPEATED = 10;

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
  const often = repeatedCommands(processes).slice(0, 3);
  for (const { commandLine, count } of often) {
    found.push(`The same command ran ${count} times: ${shellQuote(commandLine, COMMAND_CHARACTERS)}`);
  }
  const left = processes.filter(({ running }) => running).length;
  if (left > 0) {
    found.push(`${left} ${left === 1 ? "process was" : "processes were"} still running at the end.`);
  }
  return found;
}

/** A command with arguments, and how often it ran. */
interface Repeated {
  readonly commandLine: readonly string[];
  count: number;
}

/** The commands that ran often, the most frequent first. */
function repeatedCommands(processes: readonly TraceProcess[]): Repeated[] {
  // Nearly all commands of a build differ in their last word: to join all words of all of them would take long.
  const lastWords = new Map<string, number>();
  for (const process of processes) {
    const { commandLine } = lastImage(process);
    if (commandLine === undefined || commandLine.length < 2) continue;
    const word = commandLine[commandLine.length - 1]!;
    lastWords.set(word, (lastWords.get(word) ?? 0) + 1);
  }
  const commands = new Map<string, Repeated>();
  for (const process of processes) {
    const { commandLine } = lastImage(process);
    if (commandLine === undefined || commandLine.length < 2) continue;
    if (lastWords.get(commandLine[commandLine.length - 1]!)! < REPEATED) continue;
    const key = commandLine.join("\0");
    const command = commands.get(key);
    if (command === undefined) commands.set(key, { commandLine, count: 1 });
    else command.count++;
  }
  return [...commands.values()].filter(({ count }) => count >= REPEATED).sort((a, b) => b.count - a.count);
}

/** A duration in a few characters. */
export function durationText(ns: number): string {
  return formatDuration(BigInt(Math.round(ns)));
}
