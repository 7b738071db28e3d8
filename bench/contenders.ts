import { join } from "node:path";
import type { Programs } from "./build.ts";
import { findProgram } from "../tests/support/programs.ts";
import type { Runtime } from "./runtimes.ts";

/** What a contender reports of its run. */
export interface Report {
  /** Events, or lines of output. */
  readonly events: number;
  readonly types?: { readonly [kind: string]: number };
  /** Of the storm's process and its children, where the contender can tell. */
  readonly own?: {
    readonly fork: number;
    readonly exit: number;
    readonly comm: number;
    readonly childPidSum: number;
  };
  readonly lost?: number;
  readonly elapsedNs?: number;
  /** From subscribed to the end. */
  readonly cpuNs?: { readonly user: number; readonly system: number };
  /** The second half of the storm alone: the code is compiled by then. */
  readonly warm?: { readonly events: number; readonly cpuNs: number };
  readonly latencyNs?: {
    readonly samples: number;
    readonly p50: number;
    readonly p99: number;
    readonly max: number;
  };
  readonly rssBytes?: number;
  readonly rssEndBytes?: number;
  readonly known?: number;
  readonly commandLines?: number;
  /** Of programs that measure themselves: nanoseconds, or times a second, by name. */
  readonly ns?: { readonly [name: string]: number };
  readonly perSecond?: { readonly [name: string]: number };
  readonly stats?: { readonly [name: string]: unknown };
}

/** The run that a command is made for. */
interface RunArguments {
  /** The process whose events are counted apart: the storm's. */
  readonly of: number;
  /** Half of the events that will come. */
  readonly half: number;
}

/** A program that receives process events. */
export interface Contender {
  readonly name: string;
  /** What it costs or says goes to a pipe that the harness reads, or to a file, as a user would do it. */
  readonly output: "pipe" | "file";
  /** Complains of every process that it could not look at in time. */
  readonly noisy?: boolean;
  command(run: RunArguments): readonly string[];
  parse(output: string): Report;
}

/** Options of one contender, as `--name value`. */
export type ContenderOptions = { readonly [name: string]: string | number };

/** A C reference. */
export function cContender(programs: Programs, mode: string, options: ContenderOptions = {}): Contender {
  return {
    name: `C ${mode}`,
    output: "pipe",
    command: ({ of }) => [programs.receiver, "--mode", mode, "--of", String(of), ...flags(options)],
    parse: lastJson,
  };
}

/** One of the programs in contenders/, on one runtime. */
export function ourContender(runtime: Runtime, program: string, options: ContenderOptions = {}): Contender {
  const path = join(import.meta.dirname!, "contenders", `${program}.ts`);
  return {
    name: `${runtime.name} ${program}`,
    output: "pipe",
    command: ({ of, half }) => [...runtime.command, path, ...flags({ of, half, ...options })],
    parse: lastJson,
  };
}

/** `cnctl watch` with its output in a file. */
export function cnctlContender(runtime: Runtime, options: readonly string[] = []): Contender {
  const path = join(import.meta.dirname!, "..", "lib", "cli", "main.ts");
  return {
    name: `${runtime.name} cnctl watch${options.map((option) => ` ${option}`).join("")}`,
    output: "file",
    command: () => [...runtime.command, path, "watch", ...options],
    parse: countLines,
  };
}

/** forkstat, where it is installed. */
export function forkstatContender(): Contender | undefined {
  const program = findProgram("forkstat");
  if (program === undefined) return undefined;
  return {
    name: "forkstat",
    output: "file",
    // Without -l it writes by the block, as we do.
    command: () => [program, "-e", "fork,exec,exit"],
    parse: countLines,
  };
}

/** extrace, where it is installed. It shows exec, and with -t exit. */
export function extraceContender(): Contender | undefined {
  const program = findProgram("extrace");
  if (program === undefined) return undefined;
  return {
    name: "extrace -t",
    output: "file",
    noisy: true,
    command: () => [program, "-t"],
    parse: countLines,
  };
}

function flags(options: ContenderOptions): string[] {
  return Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
}

function lastJson(output: string): Report {
  const line = output.trimEnd().split("\n").findLast((text) => text.startsWith("{"));
  if (line === undefined) throw new Error("the contender ended without its line of JSON");
  return JSON.parse(line);
}

/** The lines of output, and in how many execs among them the storm's numbered program is known. */
function countLines(output: string): Report {
  let events = 0;
  let commandLines = 0;
  for (const line of output.split("\n")) {
    if (line !== "") events++;
    // An end tells the program once more; extrace's has no arguments.
    if (/\/bin\/true( |",")\d/.test(line) && !/\bexit\b/.test(line)) commandLines++;
  }
  return { events, commandLines };
}
