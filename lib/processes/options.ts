import {
  arrayOf,
  type Check,
  checkBoolean,
  checkNumber,
  checkObject,
  checkOptions,
  checkPid,
  checkSignal,
  checkString,
  integer,
  oneOf,
  type OptionChecks,
  wrongType,
} from "../errors/arguments.ts";
import type { ProcessFilter, ProcessPatterns } from "./filter.ts";
import { MOST_PARENTS, PROCESS_FIELDS, type ProcessInfoOptions } from "./info.ts";

/** What to watch, and how. */
export interface WatchProcessesOptions extends ProcessFilter {
  /**
   * Only a process and its descendants. The process must exist when the watch is opened; the watch ends when all of them
   * have ended.
   */
  readonly descendantsOf?: number | undefined;
  /**
   * Take `pids` as mere numbers: no process needs to have them, a later process with one of them matches too, and the
   * watch does not end by itself. Default false: a pid means the process that has it now, and the watch ends when the
   * last of these processes has ended.
   */
  readonly pidReuse?: boolean | undefined;
  /**
   * Give each event what is known of its process, as `process`: command line, program, user, parent, start. For this the
   * watch keeps a table of all live processes: it reads /proc once at the start and for each exec. After a loss the
   * table is compared with /proc, and the differences come as synthetic events. Default false, unless `descendantsOf`
   * or a pattern needs the table.
   */
  readonly processInfo?: boolean | ProcessInfoOptions | undefined;
  /**
   * Give the exit of each process what it has used, as `usage`: CPU time, peak memory, storage, page faults, context
   * switches. It needs CAP_NET_ADMIN; without it the field is missing, and `stats().usage.refusal` says why. The kernel
   * then sends a second message for every task of the machine that ends. Default false.
   */
  readonly usage?: boolean | undefined;
  /**
   * Begin with synthetic `fork` and `exec` events for the processes that exist: a consumer that folds the events into a
   * table of processes has the right one from the start. Needs the table. Default false.
   */
  readonly snapshot?: boolean | undefined;
  /** Aborts the watch: the iteration and `closed` reject with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long an event may wait under load at most, in milliseconds, so that one receive brings many. Default 5. With 0
   * every wake-up receives at once, at several times the cost. On a quiet machine events never wait.
   */
  readonly latencyMs?: number | undefined;
  /**
   * The receive buffer to ask for, in bytes. Default 32 MiB, but never more than an eighth of the available memory. A
   * process event takes about 400 bytes of it. What was granted is in `stats()`.
   */
  readonly receiveBufferBytes?: number | undefined;
  /**
   * After how long a silence the kernel is asked whether the subscription is alive, in milliseconds: other programs and
   * some kernels can end a subscription without notice. A dead one is renewed, and a `lost` event of unknown count is
   * shown. Default 60000; 0 never asks.
   */
  readonly heartbeatMs?: number | undefined;
}

/** The receive buffer that is asked for by default. */
export const DEFAULT_RECEIVE_BUFFER_BYTES: number = 32 << 20;
const MOST_MS = 2 ** 31 - 1;
/** The longest `latencyMs`. */
export const MOST_LATENCY_MS = 1000;

/** How a watch receives, with the defaults. */
export interface ReceiveOptions {
  readonly latencyMs: number;
  readonly heartbeatMs: number;
  readonly receiveBufferBytes: number;
}

/** Checks the numbers in the options. `action` completes "Cannot …" in the errors. */
export function checkReceiveOptions(options: WatchProcessesOptions, action: string): ReceiveOptions {
  const { latencyMs = 5, heartbeatMs = 60_000 } = options;
  const limits = [["latencyMs", latencyMs, MOST_LATENCY_MS], [
    "heartbeatMs",
    heartbeatMs,
    MOST_MS,
  ]] as const;
  for (const [name, value, most] of limits) {
    if (value >= 0 && value <= most) continue;
    throw new RangeError(`Cannot ${action}: ${name} must be 0 to ${most}, and is ${value}`);
  }
  const { receiveBufferBytes = DEFAULT_RECEIVE_BUFFER_BYTES } = options;
  return { latencyMs, heartbeatMs, receiveBufferBytes };
}

/** Longest command line that is kept: the kernel's own limit for arguments and environment together. */
const MOST_COMMAND_LINE_BYTES = 2_097_152;

/** How long the event loop may be blocked at once. */
const MOST_EXEC_WAIT_MS = 10;

const TABLE_OPTIONS: OptionChecks<ProcessInfoOptions> = {
  fields: arrayOf(oneOf(...PROCESS_FIELDS)),
  commandLineBytes: integer(0, MOST_COMMAND_LINE_BYTES),
  execRecords: oneOf("auto", "off", "required"),
  execWaitMs: integer(0, MOST_EXEC_WAIT_MS),
  parents: integer(0, MOST_PARENTS),
};

function checkProcessInfo(value: unknown, name: string, action: string): void {
  if (typeof value === "boolean") return;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrongType(value, name, "true, false or an object", action);
  }
  checkOptions(value, TABLE_OPTIONS, action);
}

function checkUser(value: unknown, name: string, action: string): void {
  if (typeof value !== "string" && typeof value !== "number") {
    throw wrongType(value, name, "a user's name or number", action);
  }
}

function checkPattern(value: unknown, name: string, action: string): void {
  for (const each of Array.isArray(value) ? value : [value]) {
    if (typeof each !== "string" && !(each instanceof RegExp)) {
      throw wrongType(each, name, "text, a regular expression or a list of them", action);
    }
  }
}

/** A list of which an event must match one: an empty one would match none. */
function listOf(check: Check): Check {
  const each = arrayOf(check);
  return (value, name, action) => {
    each(value, name, action);
    if ((value as readonly unknown[]).length > 0) return;
    throw new TypeError(`Cannot ${action}: the list of ${name} is empty`);
  };
}

const PATTERNS: OptionChecks<ProcessPatterns> = {
  users: listOf(checkUser),
  loginUsers: listOf(checkUser),
  comm: checkPattern,
  name: checkPattern,
  exe: checkPattern,
  cgroup: checkPattern,
  commandLine: checkPattern,
};

const OPTIONS: OptionChecks<WatchProcessesOptions> = {
  ...PATTERNS,
  exclude(value, name, action) {
    checkObject(value, name, action);
    checkOptions(value, PATTERNS, action);
  },
  events: arrayOf(checkString),
  exits: oneOf("all", "failed"),
  pids: listOf(checkPid),
  threads: checkBoolean,
  signal: checkSignal,
  latencyMs: checkNumber,
  receiveBufferBytes: checkNumber,
  heartbeatMs: checkNumber,
  descendantsOf: checkPid,
  processInfo: checkProcessInfo,
  snapshot: checkBoolean,
  usage: checkBoolean,
  pidReuse: checkBoolean,
};

/** Checks the types of the options of a watch; what their values mean is checked where it is known. */
export function checkWatchOptions(options: unknown, action: string): void {
  checkOptions(options, OPTIONS, action);
}
