import { sumByProgram } from "./analysis.ts";
import { shellQuote } from "../wire/escape.ts";
import { hasFailed, lastImage, type Trace } from "./trace.ts";

/** What a program or a command did in one of two traces. */
export interface DiffSide {
  /** How many processes. */
  readonly runs: number;
  /** How many of them failed. */
  readonly failed: number;
  /** The sum of their lifetimes, in nanoseconds. */
  readonly totalNs: number;
  /** Time on processors, in nanoseconds; undefined if it is not known. */
  readonly cpuNs: number | undefined;
  /** Whether events were lost while one of them ran: the numbers may be wrong. */
  readonly uncertain: boolean;
}

/** A program or a command in two traces. */
export interface DiffRow {
  /** The name of the program, or the command line quoted for a shell. */
  readonly name: string;
  /** Undefined if it is new. */
  readonly before: DiffSide | undefined;
  /** Undefined if it is gone. */
  readonly after: DiffSide | undefined;
  /** By how much the total grew, in nanoseconds. */
  readonly changeNs: number;
}

/** How two traces differ. */
export interface TraceDiff {
  /** The first trace. */
  readonly before: Trace;
  /** The second. */
  readonly after: Trace;
  /** All programs, those whose total changed most first. */
  readonly programs: readonly DiffRow[];
  /** The commands: those whose total changed most first. Names of temporary files do not make a command another one. */
  readonly commands: readonly DiffRow[];
}

/** What a command line is cut to when commands are compared. */
const COMMAND_CHARACTERS = 1000;
/** Names of temporary files are different each time. */
const TEMPORARY = /\/(?:var\/)?tmp\/[^\s'":,;)]+/g;

/**
 * Compares two traces of the same job: which programs and commands take longer, are new, or are gone.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { diffTraces, formatDiff, traceProcesses } from "kernel-connector/trace";
 *
 * const run = (script: string) =>
 *   traceProcesses({ command: ["job"], start: () => spawn("/bin/sh", ["-c", script]) });
 * const diff = diffTraces(await run("/bin/true; exit 0"), await run("sleep 0.1; exit 0"));
 * const of = (name: string) => diff.programs.find((program) => program.name === name)!;
 * assert.equal(of("sleep").before, undefined);
 * assert.equal(of("true").after, undefined);
 * assert.match(formatDiff(diff), /new .* sleep\n/);
 * ```
 */
export function diffTraces(before: Trace, after: Trace): TraceDiff {
  return {
    before,
    after,
    programs: diffRows(programSides(before), programSides(after)),
    commands: diffRows(commandSides(before), commandSides(after)),
  };
}

function diffRows(before: ReadonlyMap<string, DiffSide>, after: ReadonlyMap<string, DiffSide>): DiffRow[] {
  const rows = [...new Set([...before.keys(), ...after.keys()])].map((name): DiffRow => {
    const sides = { before: before.get(name), after: after.get(name) };
    return { name, ...sides, changeNs: (sides.after?.totalNs ?? 0) - (sides.before?.totalNs ?? 0) };
  });
  return rows.sort((a, b) => Math.abs(b.changeNs) - Math.abs(a.changeNs));
}

function programSides(trace: Trace): Map<string, DiffSide> {
  return new Map(sumByProgram(trace).map((sum) => [sum.name, sum]));
}

function commandSides({ processes }: Trace): Map<string, DiffSide> {
  const sides = new Map<string, { -readonly [Name in keyof DiffSide]: DiffSide[Name] }>();
  for (const process of processes) {
    const { commandLine, forked } = lastImage(process);
    if (commandLine === undefined || commandLine.length < 2 || forked) continue;
    const name = shellQuote(commandLine, COMMAND_CHARACTERS).replace(TEMPORARY, "/tmp/*");
    let side = sides.get(name);
    if (side === undefined) {
      side = { runs: 0, failed: 0, totalNs: 0, cpuNs: undefined, uncertain: false };
      sides.set(name, side);
    }
    side.runs++;
    if (hasFailed(process)) side.failed++;
    side.totalNs += process.endNs - process.startNs;
    if (process.usage !== undefined) side.cpuNs = (side.cpuNs ?? 0) + process.usage.cpuNs;
    side.uncertain ||= process.uncertain;
  }
  return sides;
}
