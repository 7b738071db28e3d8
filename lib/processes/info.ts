/**
 * What can be read of each process from /proc: fields of {@linkcode ProcessInfo}, and `"user"` for `uid` and
 * `effectiveUid`. Each costs one or two system calls for an exec.
 */
export type ProcessField =
  | "commandLine"
  | "exe"
  | "user"
  | "cgroup"
  | "cwd"
  | "loginUid"
  | "sessionId"
  | "terminal";

/**
 * Why fields are undefined that this process must have:
 * - `"gone"`: it had ended, or given up its memory, before /proc was read;
 * - `"superseded"`: it had become another program before /proc was read. What /proc says then belongs to that one;
 * - `"unasked"`: it was not read, since nobody had asked for it;
 * - `"refused"`: this user may not read them;
 * - `"failed"`: /proc could not be read at all, as when no descriptor is left.
 */
export type UnknownReason = "gone" | "superseded" | "unasked" | "refused" | "failed";

/**
 * What is known of a process.
 *
 * An info is a snapshot: it shows the process as it was at its event, and an event that changes something (exec, comm,
 * uid, sid) makes a new one. What is not known is undefined, never guessed. One change can still happen to an info that
 * was handed out: when a later event proves that its `commandLine`, `exe` and `comm` were those of the *next* program
 * of the process, they become undefined.
 */
export interface ProcessInfo {
  /** The process. */
  readonly pid: number;
  /**
   * The process that it was created by (or had as a parent when it was first seen). The kernel does not tell when it
   * is given to another, as init, since the parent has ended.
   */
  readonly parentPid: number | undefined;
  /** The name that the parent had when it created this process, or when this was first seen. */
  readonly parentComm: string | undefined;
  /** When it started, CLOCK_MONOTONIC. Together with `pid` it names a process for ever. */
  readonly startNs: bigint | undefined;
  /**
   * Where `startNs` is from: the event of its creation, or /proc, which is right to 10 ms, and off by the time that
   * the machine has been suspended since.
   */
  readonly startFrom: "fork" | "proc" | undefined;
  /** When it started as /proc has it (hundredths of a second, CLOCK_BOOTTIME), once it was read from there. */
  readonly startTimeTicks: number | undefined;
  /**
   * The name of its main thread, up to 15 bytes; up to 63 for a kernel thread. A kernel thread created just now has none
   * yet: it gets its name a moment later and without an event.
   */
  readonly comm: string | undefined;
  /**
   * Its arguments, the program's name first, as they were when it became this program, or was first seen. Empty for a
   * program that was started without any. A program that writes a title over its arguments has that title as its only
   * one. Empty or undefined for a kernel thread.
   */
  readonly commandLine: readonly string[] | undefined;
  /** Whether `commandLine` is cut, by the option `commandLineBytes`. */
  readonly commandLineTruncated: boolean;
  /**
   * The file that it runs. ` (deleted)` is the kernel's addition where that is not there any more. Of a process that was
   * gone before /proc could be read it is the absolute path that was given to execve, where the kernel recorded that: links
   * in it are not resolved.
   */
  readonly exe: string | undefined;
  /** The real user id. */
  readonly uid: number | undefined;
  /** The effective user id. */
  readonly effectiveUid: number | undefined;
  /** The session's leader. */
  readonly session: number | undefined;
  /**
   * Its path in the unified hierarchy when it became this program, or was first seen; no event tells that it was moved.
   * Where a filter asks for it, it is read at forks and exits, too.
   */
  readonly cgroup: string | undefined;
  /** The working directory when it became this program, or was first seen. Only with the field `"cwd"`. */
  readonly cwd?: string | undefined;
  /**
   * The user that logged in, whatever user the process has become since: audit's `auid`. null where nobody has, as for
   * services; undefined where the kernel has no audit. As of its last exec. Only with the field `"loginUid"`.
   */
  readonly loginUid?: number | null | undefined;
  /** The audit session, as {@linkcode loginUid}; nothing to do with {@linkcode session}. Only with the field `"sessionId"`. */
  readonly sessionId?: number | null | undefined;
  /** The controlling terminal as `"pts/3"` or `"tty1"`; null without one. As of its last exec. Only with the field `"terminal"`. */
  readonly terminal?: string | null | undefined;
  /** Whether it is a thread of the kernel itself. */
  readonly kernelThread: boolean;
  /** Why something of the above is unknown that should not be; undefined where all that was asked for was read. */
  readonly unknownBecause: UnknownReason | undefined;
}

/** An info while it is being made. */
export type MutableInfo = { -readonly [Name in keyof ProcessInfo]: ProcessInfo[Name] };

/** An info of which nothing but the pid is known. */
export function emptyInfo(pid: number, unknownBecause: UnknownReason | undefined): MutableInfo {
  return {
    pid,
    parentPid: undefined,
    parentComm: undefined,
    startNs: undefined,
    startFrom: undefined,
    startTimeTicks: undefined,
    comm: undefined,
    commandLine: undefined,
    commandLineTruncated: false,
    exe: undefined,
    uid: undefined,
    effectiveUid: undefined,
    session: undefined,
    cgroup: undefined,
    kernelThread: false,
    unknownBecause,
  };
}

/** Forgets what an exec changes. */
export function forgetProgram(info: MutableInfo, because: UnknownReason): void {
  info.comm = undefined;
  info.commandLine = undefined;
  info.commandLineTruncated = false;
  info.exe = undefined;
  info.unknownBecause = because;
}
