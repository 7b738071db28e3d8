import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Programs } from "./build.ts";

type StormKind = "vfork" | "exec" | "comm" | "thread";

/** A load of process events. */
export interface Storm {
  readonly kind: StormKind;
  readonly count: number;
  /** The maximum number of iterations a second. Default: full speed. */
  readonly rate?: number;
  /** The CPU to run on. */
  readonly cpu?: number;
}

/** What the storm reports at its end. */
export interface StormResult {
  readonly kind: StormKind;
  readonly count: number;
  readonly asked: number;
  readonly pid: number;
  readonly firstChild: number;
  readonly lastChild: number;
  readonly childPidSum: number;
  readonly startNs: number;
  readonly elapsedNs: number;
  readonly cpuNs: number;
  readonly childCpuNs: number;
}

/** A storm that has not started yet. */
export interface WaitingStorm {
  readonly pid: number;
  /** Starts the storm; resolves when it has ended. */
  run(): Promise<StormResult>;
  /** Ends it, before or during the storm. */
  cancel(): void;
}

/** The number of events that a storm causes, by type. */
export function eventsOf(storm: StormResult): { fork: number; exec: number; exit: number; comm: number } {
  const { kind, count } = storm;
  return {
    fork: kind === "vfork" || kind === "exec" ? count : 0,
    exec: kind === "exec" ? count : 0,
    exit: kind === "vfork" || kind === "exec" ? count : 0,
    comm: kind === "comm" ? count : 0,
  };
}

export function prepareStorm(programs: Programs, storm: Storm, seconds = 120): WaitingStorm {
  const options = ["--wait-for-stdin", "--seconds", String(seconds)];
  if (storm.rate !== undefined) options.push("--rate", String(Math.round(storm.rate)));
  if (storm.cpu !== undefined) options.push("--cpu", String(storm.cpu));
  const child = spawn(programs.storm, [storm.kind, String(storm.count), ...options], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const result = resultOf(child);
  result.catch(() => {}); // run() returns it; a cancelled storm has no result
  return {
    pid: child.pid!,
    run() {
      child.stdin!.end("\n");
      return result;
    },
    cancel() {
      child.kill("SIGTERM");
    },
  };
}

async function resultOf(child: ChildProcess): Promise<StormResult> {
  let output = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => output += text);
  child.stdin!.on("error", () => {}); // it may be gone already
  await once(child, "close");
  if (!output.startsWith("{")) throw new Error("the storm ended without a result");
  return JSON.parse(output);
}
