import { type Command, InvalidArgumentError, Option } from "commander";
import type { WatchProcessesOptions } from "./library.ts";

/** Which processes are shown, as commander reads it. */
export interface FilterFlags {
  readonly failed?: boolean;
  readonly pid?: readonly number[];
  readonly tree?: number;
  readonly user?: readonly string[];
  readonly comm?: readonly string[];
  readonly exe?: readonly string[];
  readonly cgroup?: readonly string[];
}

/** Adds the options that choose processes; each of the lists can be given several times. */
export function addFilterFlags(command: Command): Command {
  return command
    .option("--failed", "of the exits only those with another status than 0")
    .option("-p, --pid <pid>", "only this process (may be repeated, as the following)", list(pid))
    .option("-u, --user <name>", "only processes of this user", list(text))
    .option("--comm <name>", "only processes of this name", list(text))
    .option("--exe <file>", "only processes that run this file: a path, or its last part", list(text))
    .option("--cgroup <path>", "only processes in this control group, or in one below it", list(text))
    .addOption(new Option("--tree <pid>", "only this process and all that came from it").argParser(pid));
}

/** The flags as options of the library. */
export function filterOptions(flags: FilterFlags): WatchProcessesOptions {
  return {
    exits: flags.failed ? "failed" : undefined,
    pids: flags.pid,
    treeOf: flags.tree,
    users: flags.user,
    comm: flags.comm,
    exe: flags.exe,
    cgroup: flags.cgroup,
  };
}

function list<Value>(
  parse: (text: string) => Value,
): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => [...before, parse(text)];
}

function text(value: string): string {
  if (value === "") throw new InvalidArgumentError("It must not be empty.");
  return value;
}

function pid(value: string): number {
  if (!/^[1-9]\d{0,9}$/.test(value) || Number(value) >= 2 ** 31) {
    throw new InvalidArgumentError("It must be a process id.");
  }
  return Number(value);
}
