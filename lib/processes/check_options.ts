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
import type { ProcessFilter, ProcessPatterns } from "./process_filter.ts";
import type { ProcessField } from "./info.ts";
import type { ProcessInfoOptions } from "./table.ts";
import type { WatchProcessesOptions } from "./watch.ts";

/** Longest command line that is kept: the kernel's own limit for arguments and environment together. */
const MOST_COMMAND_LINE_BYTES = 2_097_152;

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

const TABLE_OPTIONS: OptionChecks<ProcessInfoOptions> = {
  fields: arrayOf(oneOf(...Object.keys(FIELDS))),
  commandLineBytes: integer(0, MOST_COMMAND_LINE_BYTES),
  execRecords: oneOf("auto", "off", "required"),
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
  exe: checkPattern,
  cgroup: checkPattern,
  commandLine: checkPattern,
};

const FILTER: OptionChecks<ProcessFilter> = {
  ...PATTERNS,
  exclude(value, name, action) {
    checkObject(value, name, action);
    checkOptions(value, PATTERNS, action);
  },
};

const OPTIONS: OptionChecks<WatchProcessesOptions> = {
  ...FILTER,
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
  pidReuse: checkBoolean,
};

/** Checks the types of the options of a watch; what their values mean is checked where it is known. */
export function checkWatchOptions(options: unknown, action: string): void {
  checkOptions(options, OPTIONS, action);
}
