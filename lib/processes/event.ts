import type { LostEvent } from "../lost_event.ts";
import type { ProcessInfo } from "./info.ts";
import type { ProcessUsage } from "./usage.ts";

/**
 * What every event of the kernel has (`struct proc_event` in include/uapi/linux/cn_proc.h).
 *
 * **`pid` is the process, `tid` the thread.** The kernel's structure calls them `tgid` and `pid`.
 */
export interface ProcessEventCommon {
  /** The process that the event is about; for a fork the new process, or the process that has a new thread. */
  readonly pid: number;
  /** The thread that the event is about: equal to `pid` for the main thread. For a fork the new thread. */
  readonly tid: number;
  /** The processor on which it happened. Events of one processor arrive in order. -1 in a synthetic event. */
  readonly cpu: number;
  /** The processor's own sequence number of this event: 32 bits, wrapping. -1 in a synthetic event. */
  readonly seq: number;
  /**
   * When it happened: CLOCK_MONOTONIC (of the initial time namespace), in nanoseconds. `wallTimeMs()` of the watch
   * converts it to the time of day.
   */
  readonly timestampNs: bigint;
  /** What is known of the process; always present with the option `processInfo`, see {@linkcode WithProcessInfo}. */
  readonly process?: ProcessInfo | undefined;
}

/** PROC_EVENT_FORK: a process or a thread was created. */
export interface ForkEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "fork";
  /** The parent process; for a thread the parent of its process, not the thread that created it. */
  readonly parentPid: number;
  /** A thread of the parent. */
  readonly parentTid: number;
  /** Whether a thread was created rather than a process. */
  readonly thread: boolean;
  /** Set when the event was not received but found by comparing with /proc. */
  readonly synthetic?: true;
}

/** PROC_EVENT_EXEC: a process started another program. */
export interface ExecEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "exec";
  /** Set when the event was not received but found by comparing with /proc. */
  readonly synthetic?: true;
}

/** PROC_EVENT_UID: a thread changed its user ids. */
export interface UidEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "uid";
  /** The new real user id. */
  readonly realUid: number;
  /** The new effective user id. */
  readonly effectiveUid: number;
}

/** PROC_EVENT_GID: a thread changed its group ids. */
export interface GidEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "gid";
  /** The new real group id. */
  readonly realGid: number;
  /** The new effective group id. */
  readonly effectiveGid: number;
}

/** PROC_EVENT_SID: a process became the leader of a new session. */
export interface SidEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "sid";
}

/** PROC_EVENT_PTRACE: a tracer attached or detached. */
export interface PtraceEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "ptrace";
  /** The process of the tracer; 0 when it detached. */
  readonly tracerPid: number;
  /** The thread of the tracer; 0 when it detached. */
  readonly tracerTid: number;
}

/** PROC_EVENT_COMM: a thread changed its name. */
export interface CommEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "comm";
  /** The new name, up to 15 bytes. Bytes that are not UTF-8 become U+DC80 to U+DCFF. */
  readonly comm: string;
}

/** PROC_EVENT_COREDUMP: a process dies of a signal that dumps core, whether or not a core is written. */
export interface CoredumpEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "coredump";
  /** The parent process; 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentPid: number | undefined;
  /** A thread of the parent; 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentTid: number | undefined;
}

/** PROC_EVENT_EXIT: a process or a thread ended. */
export interface ExitEvent extends ProcessEventCommon {
  /** The type of event. */
  readonly type: "exit";
  /** The raw wait status; null in a synthetic event, where it is unknown. */
  readonly status: number | null;
  /** The exit code; null if a signal ended the process, and in a synthetic event. */
  readonly exitCode: number | null;
  /**
   * The name of the signal that ended the process, as in `kill -l`, or null: `"SIGKILL"`, `"SIGRTMIN+3"` for 37. Signals
   * without a name (32 and 33, reserved by glibc) are `"signal 32"`.
   */
  readonly signal: string | null;
  /** Whether a core was written. */
  readonly coreDumped: boolean;
  /** The signal that the parent receives: 17 (SIGCHLD) for most processes, 0xffffffff for a thread. */
  readonly exitSignal: number;
  /**
   * The parent process. 0 if the process was reaped before the event was made, as threads always are, and in kernels
   * before 4.18; undefined before 3.2.
   */
  readonly parentPid: number | undefined;
  /** A thread of the parent; 0 in kernels before 4.18, undefined before 3.2. */
  readonly parentTid: number | undefined;
  /**
   * Whether only a thread ended: a process ends with the last of its threads, which need not be the main one. From a
   * watch with `threads: true`, the exit of a process is that of its last thread as the kernel sent it. From any other
   * watch it has the status that the parent gets from waitpid(2), and `tid` equals `pid`. From `decodeProcEvent()` it
   * only says whether `tid` differs from `pid`.
   */
  readonly thread: boolean;
  /** Set when the event was not received but found by comparing with /proc. */
  readonly synthetic?: true;
  /**
   * What the process has used. Only in a watch with `usage: true`, for the exit of a process, and if the kernel's
   * message arrived: see `stats().usage`.
   */
  readonly usage?: ProcessUsage;
}

/** An event of a type that this version does not know, as the kernel sent it. Its process is unknown. */
export interface UnknownEvent extends Omit<ProcessEventCommon, "pid" | "tid" | "process"> {
  /** The type of event. */
  readonly type: "unknown";
  /** The kernel's number for the type. */
  readonly what: number;
  /** A copy of the whole `struct proc_event`. */
  readonly data: Uint8Array;
  /** Never set. */
  readonly pid?: undefined;
  /** Never set. */
  readonly tid?: undefined;
  /** Never set. */
  readonly process?: undefined;
}

/** Process events were lost at this point of the stream. `where` is always `"kernel"`. */
export interface ProcessLostEvent extends LostEvent {
  /**
   * How many, or undefined if the kernel cannot say. Their types are unknown: all that the watch receives count, also
   * those that it only needs internally (with `processInfo` fork, exec, exit, comm, uid and sid; for exits execs and
   * the forks and exits of threads).
   */
  readonly count: number | undefined;
  /**
   * The processors on which they happened. Empty if unknown: the drop counter does not say, and sequence numbers mean
   * nothing behind a filter.
   */
  readonly cpus: readonly number[];
  /** They happened after this moment ... */
  readonly sinceNs: bigint;
  /** ... and before this one; both CLOCK_MONOTONIC. */
  readonly timestampNs: bigint;
  /** Never set. */
  readonly pid?: undefined;
  /** Never set. */
  readonly tid?: undefined;
  /** Never set. */
  readonly process?: undefined;
}

/** An element of a stream of process events. `type` tells them apart; comparing `pid` works on all of them. */
export type ProcessEvent =
  | ForkEvent
  | ExecEvent
  | UidEvent
  | GidEvent
  | SidEvent
  | PtraceEvent
  | CommEvent
  | CoredumpEvent
  | ExitEvent
  | UnknownEvent
  | ProcessLostEvent;

/** An event that the kernel sent. */
export type KernelProcessEvent = Exclude<ProcessEvent, ProcessLostEvent>;

/** An event with `process` always present, unless the event is about no process, as `lost` is. */
export type WithProcessInfo<Event extends ProcessEvent = ProcessEvent> = Event extends
  { readonly pid: number } ? Event & { readonly process: ProcessInfo }
  : Event;
