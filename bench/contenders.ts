import { join } from "node:path";
import type { Programs } from "./build.ts";
import { findProgram } from "../tests/support/programs.ts";
import type { Runtime } from "./runtimes.ts";

/** What a contender reports of its run. */
export interface Report {
  /** Events, or lines of output. */
  readonly events: number;
  readonly types?: { readonly [kind: string]: number };
  /** Events of the storm's process and its children, if the contender distinguishes them. */
  readonly own?: {
    readonly fork: number;
    readonly exit: number;
    readonly comm: number;
    readonly childPidSum: number;
  };
  readonly lost?: number;
  readonly elapsedNs?: number;
  /** From the subscription to the end. */
  readonly cpuNs?: { readonly user: number; readonly system: number };
  /** The second half of the storm, when the code has been compiled. */
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
  /** From programs that measure themselves: nanoseconds, or a rate per second, by name. */
  readonly ns?: { readonly [name: string]: number };
  readonly perSecond?: { readonly [name: string]: number };
  readonly stats?: { readonly [name: string]: unknown };
}

/** The parameters of a run. */
interface RunArguments {
  /** The storm's process, whose events are counted separately. */
  readonly of: number;
  /** Half of the expected events. */
  readonly half: number;
}

/** A program that receives process events. */
export interface Contender {
  readonly name: string;
  /** Whether its output goes to a pipe that the harness reads, or to a file as in ordinary use. */
  readonly output: "pipe" | "file";
  /** Prints an error for every process that it could not inspect in time. */
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

/** `cnctl watch`, bundled into the file `path`, with its output in a file. */
export function cnctlContender(runtime: Runtime, path: string, options: readonly string[] = []): Contender {
  return {
    name: `${runtime.name} cnctl watch${options.map((option) => ` ${option}`).join("")}`,
    output: "file",
    command: () => [...runtime.command, path, "watch", ...options],
    parse: countLines,
  };
}

/** The same as the user nobody. */
export function asNobody(contender: Contender): Contender {
  return {
    ...contender,
    name: `${contender.name}, as nobody`,
    command: (run) => [
      "setpriv",
      "--reuid=nobody",
      "--regid=nogroup",
      "--clear-groups",
      ...contender.command(run),
    ],
  };
}

/** forkstat, if installed. */
export function forkstatContender(): Contender | undefined {
  const program = findProgram("forkstat");
  if (program === undefined) return undefined;
  return {
    name: "forkstat",
    output: "file",
    // Without -l its output is buffered, like ours.
    command: () => [program, "-e", "fork,exec,exit"],
    parse: countLines,
  };
}

/** extrace, if installed. It shows exec, and exit with -t. */
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
  if (line === undefined) throw new Error("the contender ended without printing its line of JSON");
  return JSON.parse(line);
}

/** The number of lines, and the number of exec lines with the storm's numbered program. */
function countLines(output: string): Report {
  let events = 0;
  let commandLines = 0;
  for (const line of output.split("\n")) {
    if (line !== "") events++;
    // An exit line repeats the program; extrace omits its arguments.
    if (/\/bin\/true( |",")\d/.test(line) && !/\bexit\b/.test(line)) commandLines++;
  }
  return { events, commandLines };
}
