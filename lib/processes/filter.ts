import type { ProcessEventType } from "./constants.ts";

/**
 * A text to compare with, or a regular expression; or several of them, of which one must match.
 *
 * In a text `*` stands for any text and `?` for any one character (a backslash before them takes them literally):
 * `"python3*"`. In paths they do not match a `/`, but `**` does.
 */
export type TextPattern = string | RegExp | readonly (string | RegExp)[];

/** Properties of processes that are not in the events themselves. What is undefined is not compared. */
export interface ProcessPatterns {
  /** Users by name (in /etc/passwd) or number, compared with the real and the effective user of a process. */
  readonly users?: readonly (string | number)[] | undefined;
  /** The user that logged in, whatever user the process has become since (audit's `auid`); as {@linkcode users}. */
  readonly loginUsers?: readonly (string | number)[] | undefined;
  /** The name of the process, which is that of its main thread. The kernel keeps 15 bytes; only these are compared. */
  readonly comm?: TextPattern | undefined;
  /**
   * The name by which people know the process: `comm`, or the last part of its program or of the script that it runs.
   * Only in names of more than 15 bytes does `comm` alone not tell two programs apart.
   */
  readonly name?: TextPattern | undefined;
  /**
   * The file of the program, or the script that it interprets. A path is resolved when the watch is opened, including
   * links and the working directory. A name is looked up in PATH, and also matches the last part of any path. A regular
   * expression is applied to the path as /proc shows it.
   */
  readonly exe?: TextPattern | undefined;
  /**
   * A control group and those below it: the path in the unified hierarchy, with or without the mount point; or, without
   * a `/`, the name of a group anywhere. A regular expression is applied to the path in the hierarchy. No event reports
   * that a process was moved: its group is read at its forks, execs and exit.
   */
  readonly cgroup?: TextPattern | undefined;
  /** A part of the arguments, joined by single spaces, as far as they are read (`commandLineBytes`). */
  readonly commandLine?: TextPattern | undefined;
}

/**
 * Which events are wanted. All that is given must hold; `lost` events always come.
 *
 * What is unknown of a process does not match a pattern. A fork is compared by the child, which is what its parent is.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { watchProcesses } from "kernel-connector";
 *
 * const child = spawn("/bin/cat");
 * await using events = await watchProcesses({
 *   pids: [child.pid!],
 *   exe: ["cat", "/usr/bin/*"],
 *   exclude: { commandLine: "--version" },
 *   events: ["exit"],
 * });
 * child.stdin.end();
 * // The watch ends with the process.
 * for await (const event of events) assert(event.type === "exit" && event.process?.comm === "cat");
 * ```
 */
export interface ProcessFilter extends ProcessPatterns {
  /** The types of events. Default: all, including types that this version does not know. */
  readonly events?: readonly ProcessEventType[] | undefined;
  /**
   * `"failed"`: only exits with a status other than 0, including death by a signal. Default `"all"`. It chooses what is
   * shown; all exits are received, see `threads`.
   */
  readonly exits?: "all" | "failed" | undefined;
  /**
   * Only events that involve one of these processes: as the process itself, as the parent in a fork, or as a tracer. A
   * pid means the process that has it when the watch is opened; see `pidReuse`.
   */
  readonly pids?: readonly number[] | undefined;
  /**
   * Whether to show what single threads do: their forks and exits, and changes of their names and ids. Default false:
   * then an exit is that of a process, when its last thread ends, with the status that its parent gets. With true,
   * events are as the kernel sent them, and `thread` of an exit says whether it is that of a thread.
   *
   * To distinguish them, every watch that shows exits receives the forks of threads, all execs and all exits, and reads
   * /proc when it is opened (25 µs per process).
   */
  readonly threads?: boolean | undefined;
  /** Which processes are not wanted after all: those for which any of this holds. */
  readonly exclude?: ProcessPatterns | undefined;
}
