import { type Command, InvalidArgumentError, Option } from "commander";
import type { ProcessPatterns, WatchProcessesOptions } from "../../library.ts";

/** What of processes can be chosen and excluded, as commander reads it. */
interface PatternFlags {
  readonly user?: readonly string[];
  readonly loginUser?: readonly string[];
  readonly comm?: readonly string[];
  readonly exe?: readonly string[];
  readonly cgroup?: readonly string[];
  readonly command?: readonly string[];
}

/** Which processes are shown, as commander reads it: each of the patterns also as `notUser`, `notComm` … */
export interface FilterFlags extends PatternFlags {
  readonly failed?: boolean;
  readonly pid?: readonly number[];
  readonly tree?: number;
  readonly pidReuse?: boolean;
  readonly notUser?: readonly string[];
  readonly notLoginUser?: readonly string[];
  readonly notComm?: readonly string[];
  readonly notExe?: readonly string[];
  readonly notCgroup?: readonly string[];
  readonly notCommand?: readonly string[];
}

/** What the help says about the options that choose processes. */
export const FILTER_DETAILS = `
Processes are chosen by all that is given; of one option that is repeated, any
is enough. --user, --login-user, --comm, --exe, --cgroup and --command exist
with "not" as well (--not-comm sh): what one of those holds for is left out.
But for users, * is any text and ? any character; in paths they do not reach
across a /, and ** does. Quote them for the shell. With
-p and --tree the command ends when the last of these processes has ended.
  --comm     as far as the kernel keeps a name: 15 bytes
  --exe      links and relative paths are resolved; sh is what PATH has of that
             name, and a script is found behind its interpreter
  --cgroup   a path with or without the mount point, or a name: app.service
  --command  anywhere in the arguments, joined by spaces
  --login-user  who logged in, also after su and sudo`;

/** Adds the options that choose processes; each of the lists can be given several times. */
export function addFilterFlags(command: Command): Command {
  command
    .option("--failed", "of the exits only those with another status than 0")
    .option("-p, --pid <pid>", "only this process (a list, or repeated, as the following)", list(pids))
    .option("-u, --user <name>", "only processes of this user", list(names))
    .option("--login-user <name>", "only processes of the user that logged in", list(names))
    .option("--comm <name>", "only processes of this name", list(text))
    .option("--exe <file>", "only processes that run this file or script: a path, or a name", list(text))
    .option("--cgroup <group>", "only processes in this control group, or in one below it", list(text))
    .option("--command <text>", "only processes with this in their command line", list(text));
  for (
    const [flags, what] of [
      ["user <name>", "of this user"],
      ["login-user <name>", "of this login user"],
      ["comm <name>", "of this name"],
      ["exe <file>", "that run this file"],
      ["cgroup <group>", "in this control group"],
      ["command <text>", "with this in their command line"],
    ] as const
  ) {
    command.addOption(
      new Option(`--not-${flags}`, `no processes ${what}`).argParser(list(/user/.test(flags) ? names : text)),
    );
  }
  return command
    .addOption(new Option("--tree <pid>", "only this process and all that came from it").argParser(pid))
    .option("--pid-reuse", "-p means whoever has the number, also later: do not end with the process");
}

/** The flags as options of the library. */
export function filterOptions(flags: FilterFlags): WatchProcessesOptions {
  return {
    exits: flags.failed ? "failed" : undefined,
    pids: flags.pid,
    descendantsOf: flags.tree,
    pidReuse: flags.pidReuse,
    ...patterns(flags),
    exclude: patterns({
      user: flags.notUser,
      loginUser: flags.notLoginUser,
      comm: flags.notComm,
      exe: flags.notExe,
      cgroup: flags.notCgroup,
      command: flags.notCommand,
    }),
  };
}

function patterns(
  flags: { readonly [Name in keyof PatternFlags]: PatternFlags[Name] | undefined },
): ProcessPatterns {
  return {
    users: flags.user,
    loginUsers: flags.loginUser,
    comm: flags.comm,
    exe: flags.exe,
    cgroup: flags.cgroup,
    commandLine: flags.command,
  };
}

/** Adds what one use of an option gives to what the uses before it gave. */
function list<Value>(
  parse: (text: string) => readonly Value[],
): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => [...before, ...parse(text)];
}

function text(value: string): readonly string[] {
  if (value === "") throw new InvalidArgumentError("It must not be empty.");
  return [value];
}

/** Names of users hold no commas. */
function names(value: string): readonly string[] {
  return value.split(",").flatMap((name) => text(name.trim()));
}

function pids(value: string): readonly number[] {
  return value.split(",").map((each) => pid(each.trim()));
}

function pid(value: string): number {
  if (!/^[1-9]\d{0,9}$/.test(value) || Number(value) >= 2 ** 31) {
    throw new InvalidArgumentError("It must be a process id.");
  }
  return Number(value);
}
