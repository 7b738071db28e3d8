import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { Programs } from "./build.ts";

type StormKind = "vfork" | "exec" | "comm" | "thread";

/** A load to put on the machine. */
export interface Storm {
  readonly kind: StormKind;
  readonly count: number;
  /** Turns a second at most; as fast as they come where it is not given. */
  readonly rate?: number;
  /** The processor to stay on. */
  readonly cpu?: number;
}

/** What the storm says of itself at its end. */
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

/** A storm that waits for its start. */
export interface WaitingStorm {
  readonly pid: number;
  /** Lets it loose; resolves when it is over. */
  run(): Promise<StormResult>;
  /** Ends it without a storm, or early. */
  cancel(): void;
}

/** Events of its own that a storm makes, by kind. The exec events are not told apart by parent. */
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
  result.catch(() => {}); // whoever runs it hears of it; a cancelled one has nothing to say
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
  if (!output.startsWith("{")) throw new Error("the storm ended without a word");
  return JSON.parse(output);
}
