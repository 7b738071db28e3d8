// Running other programs to their end, with errors that say which one failed and why.

import { spawnSync } from "node:child_process";
import { findProgram } from "../support/programs.ts";

/** What kept the runner from doing its work: shown to the user without a stack. */
export class RunnerError extends Error {
  override name = "RunnerError";
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: Uint8Array;
}

/** Runs a program to its end and returns what it printed; a status other than 0 is an error. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Buffer {
  const result = spawnSync(program, [...args], {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: "C", ...options.env },
    input: options.input,
    maxBuffer: 1024 * 1024 * 1024,
    stdio: ["pipe", "pipe", "pipe"],
  });
  if (result.error !== undefined) {
    throw new RunnerError(`Cannot run ${program}: ${result.error.message}`);
  }
  if (result.status !== 0) {
    const said = tail(`${result.stdout}${result.stderr}`, 30);
    throw new RunnerError(
      `${program} ${args.join(" ")} ended with ${result.status ?? result.signal}:\n${said}`,
    );
  }
  return result.stdout;
}

export function runText(program: string, args: readonly string[], options: RunOptions = {}): string {
  return run(program, args, options).toString("utf8");
}

/** Every missing program at once, so that one installation is enough. */
export function requirePrograms(programs: Readonly<Record<string, string>>): void {
  const missing = Object.keys(programs).filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => programs[name]))].join(" ");
  throw new RunnerError(
    `Cannot prepare the virtual machines: ${missing.join(", ")} not found. ` +
      `Install the Debian packages that have them: apt-get install ${packages}`,
  );
}

export function tail(text: string, lines: number): string {
  return text.trimEnd().split("\n").slice(-lines).join("\n");
}
