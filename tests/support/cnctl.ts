import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { command, root, runtime } from "./runtimes.ts";

/** Enough for a slow and loaded machine. */
export const LIMIT_MS = 100_000;

/** A run of the command as a child, and its output so far. */
export interface Run {
  readonly child: ChildProcess;
  readonly said: { out: string; error: string };
  /** The exit status, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

/** The command on this runtime; on Node as a user types it, so that warnings are visible. */
export function cnctl(args: readonly string[], options: SpawnOptions = {}): Run {
  const [program, ...before] = command(runtime, join(root, "lib/cli/main.ts"));
  const flags = before.filter((flag) => flag !== "--disable-warning=ExperimentalWarning");
  const child = spawn(program!, [...flags, ...args], { stdio: ["ignore", "pipe", "pipe"], ...options });
  const said = { out: "", error: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => said.out += text);
  child.stderr?.setEncoding("utf8").on("data", (text: string) => said.error += text);
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve(status ?? signal!);
    });
  });
  return { child, said, ended };
}

/** Sends a signal. (Deno reports every child on which `kill` was called as killed by the signal.) */
export function end(run: Run, signal: "SIGINT" | "SIGTERM" | "SIGHUP"): void {
  process.kill(run.child.pid!, signal);
}
