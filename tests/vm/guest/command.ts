// Runs cnctl as a separate program, for tests in the guest.

import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { join } from "node:path";
import { command, root, runtime } from "../../support/runtimes.ts";
import { eventually } from "./support.ts";

/** The command takes seconds to start in emulation. */
export const LIMIT_MS = 60_000;

/** A run of the command. */
export class Run {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<number | null>;
  out = "";
  error = "";

  constructor(...args: readonly string[]) {
    const [file, ...own] = command(runtime, join(root, "lib/cli/main.ts"));
    this.child = spawn(file!, [...own, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdin.end();
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => this.out += text);
    this.child.stderr.setEncoding("utf8").on("data", (text: string) => this.error += text);
    this.ended = new Promise((resolve) => this.child.once("close", resolve));
  }

  /** The objects that it has written so far. */
  objects(): Record<string, unknown>[] {
    return this.out.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  /** Waits for an object. */
  async object(type: string, which: (its: Record<string, unknown>) => boolean = () => true): Promise<
    Record<string, unknown>
  > {
    const find = () => this.objects().find((its) => its["type"] === type && which(its));
    await eventually(`${type} of ${this.child.spawnargs.join(" ")}`, () => find() !== undefined, LIMIT_MS)
      .catch((error) => assert.fail(`${error.message}; it said ${this.out}${this.error}`));
    return find()!;
  }

  async end(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): Promise<number | null> {
    process.kill(this.child.pid!, signal); // after child.kill() Deno reports no exit status
    return await this.ended;
  }
}

/** Runs it to its end, with a time limit. */
export async function say(
  ...args: readonly string[]
): Promise<{ readonly status: number | null; readonly out: string; readonly error: string }> {
  const run = new Run(...args);
  const late = setTimeout(() => run.child.kill("SIGKILL"), LIMIT_MS);
  const status = await run.ended;
  clearTimeout(late);
  return { status, out: run.out, error: run.error };
}

/** Its output; it must succeed without error output. */
export async function out(...args: readonly string[]): Promise<string> {
  const { status, out, error } = await say(...args);
  assert.deepEqual([status, error], [0, ""], args.join(" "));
  return out;
}
