/**
 * Fields that can be read from /proc: those of {@linkcode ProcessInfo}, and `"user"` for `uid` and `effectiveUid`. Each
 * costs one or two system calls per exec.
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

const FIELDS: Readonly<Record<ProcessField, true>> = {
  commandLine: true,
  exe: true,
  user: true,
  cgroup: true,
  cwd: true,
  loginUid: true,
  sessionId: true,
  terminal: true,
};

/** All of them. */
export const PROCESS_FIELDS = Object.keys(FIELDS) as readonly ProcessField[];

/** The fields that are read by default. */
export const DEFAULT_FIELDS: readonly ProcessField[] = ["commandLine", "exe", "user", "cgroup"];

/**
 * What is known of a process.
 *
 * An info is a snapshot of the process at the time of an event; an event that changes something (exec, comm, uid, sid)
 * makes a new one. What is unknown is undefined, never guessed. An info that was handed out changes only if a later event
 * proves that its `commandLine`, `exe` and `comm` are those of the *next* program of the process: they become undefined.
 */
export interface ProcessInfo {
  /** The process. */
  readonly pid: number;
  /**
   * The process that created it, or its parent when it was first seen. The kernel does not report that it is reparented,
   * for example to init, when the parent ends.
   */
  readonly parentPid: number | undefined;
  /** The name that the parent had when it created this process, or when this was first seen. */
  readonly parentComm: string | undefined;
  /**
   * Its parent, the parent of that and so on, as many as the option `parents` asks for, with the names that they had when
   * they created one another, or when they were first seen. Only with that option.
   */
  readonly parents?: readonly { readonly pid: number; readonly comm: string | undefined }[] | undefined;
  /** When it started, CLOCK_MONOTONIC. Together with `pid` it identifies a process uniquely. */
  readonly startNs: bigint | undefined;
  /**
   * The source of `startNs`: the fork event; or /proc, which is accurate to 10 ms, and off by the time that the machine
   * has been suspended since.
   */
  readonly startFrom: "fork" | "proc" | undefined;
  /** When it started as /proc has it (hundredths of a second, CLOCK_BOOTTIME), once it was read from there. */
  readonly startTimeTicks: number | undefined;
  /**
   * The name of its main thread, up to 15 bytes; up to 63 for a kernel thread. A new kernel thread has none yet: it gets
   * its name shortly after, without an event.
   */
  readonly comm: string | undefined;
  /**
   * Its arguments, beginning with the name of the program, as of its last exec or when it was first seen. Empty if it was
   * started without any. If a program overwrites its arguments with a title, that is the only one. Empty or undefined for
   * a kernel thread.
   */
  readonly commandLine: readonly string[] | undefined;
  /** Whether `commandLine` is cut, by the option `commandLineBytes`. */
  readonly commandLineTruncated: boolean;
  /**
   * The file that it runs, as /proc shows it; the kernel adds ` (deleted)` if the file is gone. If the process exited
   * before /proc could be read, it is where the absolute path given to execve leads now, if an exec record has that path
   * and the process had the same root directory as we.
   */
  readonly exe: string | undefined;
  /** The real user id. */
  readonly uid: number | undefined;
  /** The effective user id. */
  readonly effectiveUid: number | undefined;
  /** The session's leader. */
  readonly session: number | undefined;
  /**
   * Its path in the unified hierarchy as of its last exec, or when it was first seen; no event reports that it was moved.
   * If a filter uses it, it is also read at forks and exits.
   */
  readonly cgroup: string | undefined;
  /** The working directory as of its last exec, or when it was first seen. Only with the field `"cwd"`. */
  readonly cwd?: string | undefined;
  /**
   * The user that logged in, whatever user the process has become since: audit's `auid`. null if nobody has, as for
   * services; undefined if the kernel has no audit. As of its last exec. Only with the field `"loginUid"`.
   */
  readonly loginUid?: number | null | undefined;
  /** The audit session, as {@linkcode loginUid}; nothing to do with {@linkcode session}. Only with the field `"sessionId"`. */
  readonly sessionId?: number | null | undefined;
  /** The controlling terminal as `"pts/3"` or `"tty1"`; null without one. As of its last exec. Only with the field `"terminal"`. */
  readonly terminal?: string | null | undefined;
  /** Whether it is a kernel thread. */
  readonly kernelThread: boolean;
  /**
   * Why fields that were asked for are unknown; undefined if all were read:
   * - `"gone"`: the process had ended, or released its memory, before /proc was read;
   * - `"superseded"`: it was running another program by the time /proc was read;
   * - `"unasked"`: it was not read because it was not asked for;
   * - `"refused"`: this user may not read them;
   * - `"failed"`: /proc could not be read at all, for example because no descriptor was left.
   */
  readonly unknownBecause: "gone" | "superseded" | "unasked" | "refused" | "failed" | undefined;
}

/** Why something is not known of a process. */
export type UnknownReason = NonNullable<ProcessInfo["unknownBecause"]>;

/** What is read of each process. */
export interface ProcessInfoOptions {
  /** The fields that are read from /proc. Default `commandLine`, `exe`, `user` and `cgroup`. */
  readonly fields?: readonly ProcessField[] | undefined;
  /** The length at which a command line is cut, in bytes. Default 4096, at most 2097152. */
  readonly commandLineBytes?: number;
  /**
   * Whether the kernel is asked to record the arguments of every exec, so that they are known even of programs that end
   * at once. Needs root, or CAP_BPF and CAP_PERFMON, and Linux 5.8 or newer with BTF. `"auto"`, the default: if possible;
   * otherwise /proc is read. `"off"`: only /proc is read. `"required"`: opening the watch fails if it is not possible.
   */
  readonly execRecords?: "auto" | "off" | "required" | undefined;
  /**
   * Without exec records: how long the watch may wait inside the kernel for the exec that a fork announces, in
   * milliseconds, 0 to 10, so that more command lines of short programs are known. This blocks the event loop, for a fifth
   * of the time at most. Default 0.
   */
  readonly execWaitMs?: number | undefined;
  /** How many generations of parents each process gets, as `parents`: 0, the default, to 64. */
  readonly parents?: number | undefined;
}

/** The most generations of parents. */
export const MOST_PARENTS = 64;

/** An info while it is being made. */
export type MutableInfo = { -readonly [Name in keyof ProcessInfo]: ProcessInfo[Name] };

/** An info with nothing but the pid. */
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

/** Forgets what an exec changes, and the working directory: many a child changes it between its fork and its exec. */
export function forgetProgram(info: MutableInfo, because: UnknownReason): void {
  if (info.cwd !== undefined) info.cwd = undefined;
  info.comm = undefined;
  info.commandLine = undefined;
  info.commandLineTruncated = false;
  info.exe = undefined;
  info.unknownBecause = because;
}
