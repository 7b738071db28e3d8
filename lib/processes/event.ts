import type { ProcEventKind } from "./constants.ts";

/**
 * What every event of the kernel carries (`struct proc_event` in include/uapi/linux/cn_proc.h).
 *
 * **`pid` is the process, `tid` the thread.** The kernel's structure calls them `tgid` and `pid`, which misleads
 * nearly everybody who reads it.
 */
export interface ProcEventCommon {
  /** The processor on which it happened. Events of one processor arrive in order. */
  readonly cpu: number;
  /** The processor's own sequence number of this event, 32 bits, wrapping. */
  readonly seq: number;
  /**
   * When it happened, CLOCK_MONOTONIC (of the first time namespace), in nanoseconds. `wallTimeMs()` of the watch makes the
   * time of day of it.
   */
  readonly timestampNs: bigint;
}

/** PROC_EVENT_FORK: a process or a thread was created. */
export interface ForkEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "fork";
  /** The process that is the parent: for a thread the parent of its process, not the thread that made it. */
  readonly parentPid: number;
  /** A thread of the parent. */
  readonly parentTid: number;
  /** The new process; for a thread the process that it belongs to. */
  readonly childPid: number;
  /** The new thread. */
  readonly childTid: number;
  /** Whether a thread was created, not a process. */
  readonly thread: boolean;
  /** Set where the event was not seen but found out by comparing with /proc. */
  readonly synthetic?: true;
}

/** PROC_EVENT_EXEC: a process became another program. */
export interface ExecEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "exec";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** Set where the event was not seen but found out by comparing with /proc. */
  readonly synthetic?: true;
}

/** PROC_EVENT_UID: a thread changed its user ids. */
export interface UidEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "uid";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** The real user id now. */
  readonly realUid: number;
  /** The effective user id now. */
  readonly effectiveUid: number;
}

/** PROC_EVENT_GID: a thread changed its group ids. */
export interface GidEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "gid";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** The real group id now. */
  readonly realGid: number;
  /** The effective group id now. */
  readonly effectiveGid: number;
}

/** PROC_EVENT_SID: a process became the leader of a new session. */
export interface SidEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "sid";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
}

/** PROC_EVENT_PTRACE: a tracer attached or detached. */
export interface PtraceEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "ptrace";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** 0 when it detached. */
  readonly tracerPid: number;
  /** The thread that traces; 0 when it detached. */
  readonly tracerTid: number;
}

/** PROC_EVENT_COMM: a thread changed its name. */
export interface CommEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "comm";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** Up to 15 bytes; bytes that are not UTF-8 are U+DC80 to U+DCFF. */
  readonly comm: string;
}

/** PROC_EVENT_COREDUMP: a process dies of a signal that dumps core, whether a core is written or not. */
export interface CoredumpEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "coredump";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentPid: number | undefined;
  /** A thread of the parent; 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentTid: number | undefined;
}

/** PROC_EVENT_EXIT: a process or a thread ended. */
export interface ExitEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "exit";
  /** The process. */
  readonly pid: number;
  /** The thread. */
  readonly tid: number;
  /** The raw wait status; null in a synthetic event: nobody knows it. */
  readonly status: number | null;
  /** The exit code, or null where a signal ended it (and in a synthetic event). */
  readonly exitCode: number | null;
  /**
   * The name of the signal that ended it, as `kill -l` has it, or null: `"SIGKILL"`, `"SIGRTMIN+3"` for 37; where it has
   * no name (32 and 33, which glibc keeps for itself), `"signal 32"`.
   */
  readonly signal: string | null;
  /** Whether a core was really written. */
  readonly coreDumped: boolean;
  /** The signal that the parent gets: 17 (SIGCHLD) for most processes, 0xffffffff for a thread. */
  readonly exitSignal: number;
  /**
   * 0 where it was reaped before the event was made, as threads always are, and in kernels before 4.18; undefined before
   * 3.2.
   */
  readonly parentPid: number | undefined;
  /** A thread of the parent; 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentTid: number | undefined;
  /**
   * Whether only a thread ended: its process ends with the last of its threads, which need not be the main one. Out of
   * a watch with `threads: true` the exit of a process is that of its last thread as the kernel sent it; out of any
   * other it has the status that the parent gets from waitpid(2), and `tid` is `pid`. As decoded, and where it is not
   * known better: `tid` is not `pid`.
   */
  readonly thread: boolean;
  /** Set where the event was not seen but found out by comparing with /proc. */
  readonly synthetic?: true;
}

/** A kind of event that this version does not know, as the kernel sent it. */
export interface UnknownEvent extends ProcEventCommon {
  /** The kind of event. */
  readonly type: "unknown";
  /** The kernel's number for the kind. */
  readonly what: number;
  /** The whole `struct proc_event`, a copy. */
  readonly data: Uint8Array;
}

/** Events were lost here: the stream says so itself. */
export interface LostEvent {
  /** The kind of event. */
  readonly type: "lost";
  /**
   * How many, or undefined where the kernel cannot say. Nobody knows of which kinds they were: all count that the watch
   * receives, also those that it needs and nobody asked for (with a table fork, exec, exit, comm, uid and sid; for
   * exits execs and the lives of threads).
   */
  readonly count: number | undefined;
  /**
   * The processors on which they happened; empty where that is unknown (the drop counter does not say, and sequence
   * numbers mean nothing behind a filter).
   */
  readonly cpus: readonly number[];
  /** They happened after this event... */
  readonly sinceNs: bigint;
  /** ... and before this moment, both CLOCK_MONOTONIC. */
  readonly timestampNs: bigint;
}

/** An event that the kernel sent. */
export type KernelProcEvent =
  | ForkEvent
  | ExecEvent
  | UidEvent
  | GidEvent
  | SidEvent
  | PtraceEvent
  | CommEvent
  | CoredumpEvent
  | ExitEvent
  | UnknownEvent;

/** Whatever a stream of process events holds. Tell them apart by `type`. */
export type ProcEvent = KernelProcEvent | LostEvent;

/** A `type` of {@linkcode ProcEvent} that can be asked for. */
export type { ProcEventKind };
