import { type Command, Option } from "commander";
import { list, processId, text } from "./arguments.ts";
import type { ProcessPatterns, WatchProcessesOptions } from "../../mod.ts";

/** The options that select or exclude processes, as commander parses them. */
interface PatternFlags {
  readonly user?: readonly string[];
  readonly loginUser?: readonly string[];
  readonly name?: readonly string[];
  readonly comm?: readonly string[];
  readonly exe?: readonly string[];
  readonly cgroup?: readonly string[];
  readonly command?: readonly string[];
}

/** All filter options as commander parses them; each pattern also exists as `notUser`, `notComm` and so on. */
export interface FilterFlags extends PatternFlags {
  /** Of commands that show exits. */
  readonly failed?: boolean;
  readonly pid?: readonly number[];
  readonly tree?: number;
  readonly pidReuse?: boolean;
  readonly notUser?: readonly string[];
  readonly notLoginUser?: readonly string[];
  readonly notName?: readonly string[];
  readonly notComm?: readonly string[];
  readonly notExe?: readonly string[];
  readonly notCgroup?: readonly string[];
  readonly notCommand?: readonly string[];
}

/** The part of the help about filters. */
export const FILTER_DETAILS = `
Filters:
A process must match every option given, and any one value of a repeated
option. A --not option excludes the processes that match it. Except in users,
* matches any text and ? any character; in paths they do not match a /, but **
does. Quote them for the shell. With --pid or --tree, the command stops when
the last of these processes has exited.
  --name        what people call it: --comm, or the file name of the program or
                script
  --comm        the name that the kernel keeps: at most 15 bytes
  --exe         links and relative paths are resolved, and names looked up in
                PATH; a script is matched by its own path
  --cgroup      a path, with or without the mount point, or a name: app.service
  --command     text anywhere in the arguments, joined by spaces
  --login-user  the user who logged in, even after su or sudo`;

/** Adds the filter options; those that take a list can be repeated. */
export function addFilterFlags(command: Command): Command {
  command
    .option("-p, --pid <pid>", "only these processes (repeatable, or separated by commas)", list(pids))
    .option("-u, --user <user>", "only processes of this user (repeatable, as all below)", list(names))
    .option("--login-user <user>", "only processes of this login user", list(names))
    .option("--name <name>", "only processes of this name: kernel's, program's or script's", list(text))
    .option("--comm <name>", "only processes with this name", list(text))
    .option("--exe <file>", "only processes running this program or script", list(text))
    .option("--cgroup <group>", "only processes in this control group or below", list(text))
    .option("--command <text>", "only processes with this text in their command line", list(text));
  for (
    const [flags, what] of [
      ["user <user>", "processes of this user"],
      ["login-user <user>", "processes of this login user"],
      ["name <name>", "processes of this name"],
      ["comm <name>", "processes with this name"],
      ["exe <file>", "processes running this program or script"],
      ["cgroup <group>", "processes in this control group or below"],
      ["command <text>", "processes with this text in their command line"],
    ] as const
  ) {
    command.addOption(
      new Option(`--not-${flags}`, `exclude ${what}`).argParser(list(/user/.test(flags) ? names : text)),
    );
  }
  return command
    .addOption(new Option("--tree <pid>", "only this process and its descendants").argParser(processId))
    .option("--pid-reuse", "keep watching --pid when the pid is reused");
}

/** The library's options for the flags. */
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
      name: flags.notName,
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
    name: flags.name,
    comm: flags.comm,
    exe: flags.exe,
    cgroup: flags.cgroup,
    commandLine: flags.command,
  };
}

/** User names cannot contain commas. */
function names(value: string): readonly string[] {
  return value.split(",").flatMap((name) => text(name.trim()));
}

function pids(value: string): readonly number[] {
  return value.split(",").map((each) => processId(each.trim()));
}
