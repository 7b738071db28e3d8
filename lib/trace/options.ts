import {
  arrayOf,
  checkBoolean,
  checkFunction,
  checkOptions,
  checkPid,
  checkSignal,
  checkString,
  type OptionChecks,
} from "../errors/arguments.ts";

/** A process that was started: `ChildProcess` of node:child_process, `Subprocess` of Bun. */
export interface StartedProcess {
  /** Its id; undefined if it could not be started. */
  readonly pid?: number | undefined;
  /** Its exit code, once it has ended: used if its exit event is lost. */
  readonly exitCode?: number | null;
  /** The signal that ended it: used if its exit event is lost. */
  readonly signalCode?: string | null;
}

/** How a trace gets on. */
export interface TraceProgress {
  /** How many processes there were. */
  readonly processes: number;
  /** How many of them run. */
  readonly running: number;
  /** How many have failed. */
  readonly failed: number;
}

/** What to trace: what `start` starts, the tree of `pid`, a `cgroup`, or without any of these all processes. */
export interface TraceProcessesOptions {
  /**
   * Starts what is to be traced, once nothing of it can be missed: what it returns and all its descendants are traced, until
   * it has ended. With `TRACEPARENT=traceParent` in its environment, spans that it sends itself become children of the one
   * that {@linkcode formatOtlp} makes of it.
   */
  readonly start?: ((traceParent: string) => StartedProcess | Promise<StartedProcess>) | undefined;
  /** With `start`: the command, for the title of reports. */
  readonly command?: readonly string[] | undefined;
  /** With `start`: TRACEPARENT of W3C Trace Context: the span that the command belongs to. */
  readonly traceParent?: string | undefined;
  /** With `start`: go on until everything that it left running has ended, too. */
  readonly wait?: boolean | undefined;
  /** A running process: it and its descendants are traced, until all of them have ended. */
  readonly pid?: number | undefined;
  /** A control group by its path or name, as in the option `cgroup` of `watchProcesses()`. */
  readonly cgroup?: string | undefined;
  /** Ends the trace when it is aborted; what was recorded until then is the result. */
  readonly until?: AbortSignal | undefined;
  /** Hide what looks like a secret in command lines: see {@linkcode redactArguments}. Default false. */
  readonly redact?: boolean | undefined;
  /** Gets the recording as text, whole lines at a time: what it has written is all that a crash leaves. */
  readonly write?: ((lines: string) => void) | undefined;
  /** Called after each batch of events. */
  readonly onProgress?: ((progress: TraceProgress) => void) | undefined;
}

const OPTIONS: OptionChecks<TraceProcessesOptions> = {
  start: checkFunction,
  command: arrayOf(checkString),
  traceParent: checkString,
  wait: checkBoolean,
  pid: checkPid,
  cgroup: checkString,
  until: checkSignal,
  redact: checkBoolean,
  write: checkFunction,
  onProgress: checkFunction,
};

/** Checks the options. */
export function checkTraceOptions(options: unknown, action: string): void {
  checkOptions(options, OPTIONS, action);
  const { start, pid, cgroup, wait, command, traceParent } = options as TraceProcessesOptions;
  const given = Object.entries({ start, pid, cgroup }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    const names = given.map(([name]) => name).join(" and ");
    throw new TypeError(`Cannot ${action}: ${names} cannot be given together`);
  }
  if (start !== undefined) return;
  for (const [name, value] of Object.entries({ wait, command, traceParent })) {
    if (value !== undefined) throw new TypeError(`Cannot ${action}: ${name} is only for start`);
  }
}
