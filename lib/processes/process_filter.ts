import type { Libc } from "../../ffi/libc.ts";
import { UnsupportedError } from "../errors/unsupported_error.ts";
import type { ProcessEvent } from "./event.ts";
import { readTextFile } from "../procfs/file.ts";
import { decodeText, encodeText } from "../wire/text.ts";
import { isAccountId, PASSWD, readAccounts } from "../procfs/accounts.ts";
import { cgroupTest, hasUnifiedHierarchy } from "./cgroup_path.ts";
import { globMatcher, globMinimum, isGlob } from "./glob.ts";
import type { ProcessFilter, ProcessPatterns, TextPattern } from "./filter.ts";
import type { ProcessField, ProcessInfo } from "./info.ts";
import { programTest, withoutDeleted } from "./program_file.ts";

/** A part of a filter, checked. */
interface ProcessTest {
  /** The name of the option, as `"comm"` or `"exclude.comm"`. */
  readonly part: string;
  /** Whether it holds of a process; what is not known does not. */
  readonly holds: (info: ProcessInfo) => boolean;
  /** What it needs read of each process. */
  readonly fields: readonly ProcessField[];
  /** What a user should know who wonders why nothing matches. */
  readonly note?: string | undefined;
}

/** A filter, checked and with its users' numbers. */
export interface CheckedProcessFilter {
  /** All of them must hold. */
  readonly wanted: readonly ProcessTest[];
  /** None of them may. */
  readonly unwanted: readonly ProcessTest[];
  /** What it needs read of each process. */
  readonly fields: readonly ProcessField[];
}

/** The longest name of a process, in bytes. */
const MAX_COMM_BYTES = 15;

/**
 * Checks a filter, and looks its users, files and control groups up.
 *
 * @param action completes "Cannot …" in the errors.
 * @returns Undefined where nothing was asked for.
 * @throws {TypeError} For a user that /etc/passwd does not have, an empty list, a value that is no pattern, or one that
 * can never match.
 * @throws {UnsupportedError} Where the kernel does not have what is asked for.
 */
export function checkProcessFilter(
  filter: ProcessFilter,
  libc: Libc,
  action: string,
): CheckedProcessFilter | undefined {
  const { exclude = {} } = filter;
  if (typeof exclude !== "object" || exclude === null) {
    throw new TypeError(`Cannot ${action}: exclude must be an object, and is ${String(exclude)}`);
  }
  const wanted = testsOf(filter, "", libc, action);
  const unwanted = testsOf(exclude, "exclude.", libc, action);
  if (wanted.length === 0 && unwanted.length === 0) return undefined;
  return { wanted, unwanted, fields: [...new Set([...wanted, ...unwanted].flatMap(({ fields }) => fields))] };
}

/** Whether an event matches, by its `process`; undefined if what decides it could not be read. Losses always match. */
export function matchEvent(filter: CheckedProcessFilter, event: ProcessEvent): boolean | undefined {
  if (event.type === "lost") return true;
  const { process } = event;
  if (process === undefined) return filter.wanted.length === 0 || undefined;
  if (isWanted(filter, process)) return true;
  const isRejected = filter.wanted.some((test) => !test.holds(process) && isKnown(test, process)) ||
    filter.unwanted.some(({ holds }) => holds(process));
  return isRejected ? false : undefined;
}

/** Whether everything that a test looks at is known of a process. */
function isKnown({ fields }: ProcessTest, info: ProcessInfo): boolean {
  if (fields.length === 0) return info.comm !== undefined;
  return fields.every((field) =>
    info[field === "user" ? "uid" : field] !== undefined || (field === "exe" && info.kernelThread)
  );
}

/** Whether a process is wanted. */
export function isWanted({ wanted, unwanted }: CheckedProcessFilter, info: ProcessInfo): boolean {
  return wanted.every(({ holds }) => holds(info)) && !unwanted.some(({ holds }) => holds(info));
}

function testsOf(patterns: ProcessPatterns, prefix: string, libc: Libc, action: string): ProcessTest[] {
  const { users, loginUsers, comm, exe, cgroup, commandLine } = patterns;
  const tests: ProcessTest[] = [];
  const name = (part: keyof ProcessPatterns): string => `${prefix}${part}`;
  const add = (
    part: keyof ProcessPatterns,
    testOf: (text: string, unsupported: Refuse) => PartTest,
    textsOf: (info: ProcessInfo) => readonly (string | undefined)[],
    fields: readonly ProcessField[],
  ): void => {
    tests.push(patternTest(name(part), patterns[part] as TextPattern, testOf, textsOf, fields, action));
  };
  if (users !== undefined) {
    const ids = userIds(users, libc, name("users"), action);
    const has = (uid: number | undefined): boolean => uid !== undefined && ids.has(uid);
    tests.push({
      part: name("users"),
      fields: ["user"],
      holds: ({ uid, effectiveUid }) => has(uid) || has(effectiveUid),
    });
  }
  if (loginUsers !== undefined) {
    const ids = userIds(loginUsers, libc, name("loginUsers"), action);
    if (readTextFile(libc, "/proc/self/loginuid") === undefined) {
      throw new UnsupportedError(
        action,
        "no-audit",
        "this kernel keeps no login users (CONFIG_AUDITSYSCALL)",
      );
    }
    tests.push({
      part: name("loginUsers"),
      fields: ["loginUid"],
      holds: ({ loginUid }) => typeof loginUid === "number" && ids.has(loginUid),
    });
  }
  if (comm !== undefined) add("comm", commTest, (info) => [info.comm], []);
  if (patterns.name !== undefined) {
    add("name", (text, unsupported) => nameTest(libc, text, unsupported), namesOf, ["exe"]);
  }
  if (exe !== undefined) {
    const one = (text: string, unsupported: Refuse): PartTest => {
      const { matches, fields, note } = programTest(libc, text, unsupported);
      return { holds: matches, fields, note };
    };
    add("exe", one, (info) => [info.exe], ["exe"]);
  }
  if (cgroup !== undefined) {
    if (!hasUnifiedHierarchy(libc)) {
      throw new UnsupportedError(
        action,
        "no-cgroup",
        "this kernel has no unified control groups (cgroup v2)",
      );
    }
    const one = (text: string, unsupported: Refuse): PartTest => {
      const { matches, note } = cgroupTest(libc, text, unsupported);
      return { holds: (info) => info.cgroup !== undefined && matches(info.cgroup), note };
    };
    add("cgroup", one, (info) => [info.cgroup], ["cgroup"]);
  }
  if (commandLine !== undefined) {
    add("commandLine", commandLineTest, (info) => [commandOf(info)], ["commandLine"]);
  }
  return tests;
}

/** One text of a pattern. */
type PartTest = Pick<ProcessTest, "holds" | "note"> & Partial<Pick<ProcessTest, "fields">>;
/** Makes the error for what can never match. */
type Refuse = (why: string) => TypeError;

/** The test of a pattern: each text by what it means, each expression on what a process has. */
function patternTest(
  part: string,
  pattern: TextPattern,
  testOf: (text: string, unsupported: Refuse) => PartTest,
  textsOf: (info: ProcessInfo) => readonly (string | undefined)[],
  fields: readonly ProcessField[],
  action: string,
): ProcessTest {
  const patterns: readonly unknown[] = Array.isArray(pattern) ? pattern : [pattern];
  if (patterns.length === 0) throw new TypeError(`Cannot ${action}: the list for ${part} is empty`);
  const tests = patterns.map((each): PartTest => {
    if (typeof each === "string") {
      const unsupported = (why: string): TypeError =>
        new TypeError(`Cannot ${action}: ${part} ${JSON.stringify(each)} can never match: ${why}`);
      if (each.includes("\0")) throw unsupported("it holds a NUL");
      return testOf(each, unsupported);
    }
    if (!(each instanceof RegExp)) {
      throw new TypeError(
        `Cannot ${action}: ${part} must be text or a regular expression, and is ${String(each)}`,
      );
    }
    // With g or y an expression would remember where it matched last.
    const expression = new RegExp(each.source, each.flags.replace(/[gy]/g, ""));
    return {
      holds(info) {
        return textsOf(info).some((text) => text !== undefined && expression.test(text));
      },
    };
  });
  const notes = tests.flatMap(({ note }) => note ?? []);
  return {
    part,
    fields: [...fields, ...tests.flatMap((each) => each.fields ?? [])],
    note: notes.length === 0 ? undefined : notes.join("; "),
    holds: tests.length === 1 ? tests[0]!.holds : (info) => tests.some(({ holds }) => holds(info)),
  };
}

/** A name. Of a longer one the kernel keeps as much as there is room for. */
function commTest(text: string, unsupported: Refuse): PartTest {
  if (isGlob(text)) {
    const least = globMinimum(text);
    if (least > MAX_COMM_BYTES) {
      throw unsupported(`names have ${MAX_COMM_BYTES} bytes at most, and it asks for ${least}`);
    }
    const matches = globMatcher(text);
    return { holds: ({ comm }) => comm !== undefined && matches(comm) };
  }
  const bytes = encodeText(text);
  if (bytes.length <= MAX_COMM_BYTES) return { holds: ({ comm }) => comm === text };
  const kept = decodeText(bytes, 0, MAX_COMM_BYTES);
  return {
    holds: ({ comm }) => comm === kept || comm === text, // some kernel threads have longer ones
    note: `the kernel keeps ${MAX_COMM_BYTES} bytes of a name: compared is ${JSON.stringify(kept)}`,
  };
}

/** A name as people use it: that of the process, of its program or of its script. */
function nameTest(libc: Libc, text: string, unsupported: Refuse): PartTest {
  if (text.includes("/")) throw unsupported("names have no /; exe compares paths");
  const program = programTest(libc, text, unsupported);
  const isTooLong = isGlob(text) && globMinimum(text) > MAX_COMM_BYTES;
  const comm = isTooLong ? undefined : commTest(text, unsupported);
  return {
    holds: (info) => comm?.holds(info) === true || program.matches(info),
    fields: program.fields,
  };
}

function namesOf({ comm, exe }: ProcessInfo): readonly (string | undefined)[] {
  if (exe === undefined) return [comm];
  const file = withoutDeleted(exe);
  return [comm, file.slice(file.lastIndexOf("/") + 1)];
}

function commandLineTest(text: string, unsupported: Refuse): PartTest {
  if (text === "") throw unsupported("it is empty");
  const matches = isGlob(text) ? globMatcher(`*${text}*`) : (line: string): boolean => line.includes(text);
  return {
    holds(info) {
      const line = commandOf(info);
      return line !== undefined && matches(line);
    },
  };
}

function commandOf({ commandLine }: ProcessInfo): string | undefined {
  return commandLine?.join(" ");
}

/** The numbers of users; /etc/passwd is read only where one is given by name. */
function userIds(
  users: readonly (string | number)[],
  libc: Libc,
  part: string,
  action: string,
): ReadonlySet<number> {
  if (!Array.isArray(users)) {
    throw new TypeError(
      `Cannot ${action}: ${part} must be a list of names and numbers, and is ${String(users)}`,
    );
  }
  if (users.length === 0) throw new TypeError(`Cannot ${action}: the list of ${part} is empty`);
  let names: ReadonlyMap<string, number> | undefined;
  const ids = new Set<number>();
  for (const user of users) {
    if (typeof user === "number") {
      if (!isAccountId(user)) throw new TypeError(`Cannot ${action}: ${user} is no user id`);
      ids.add(user);
      continue;
    }
    names ??= readUsers(libc);
    const uid = names.get(user) ??
      (/^\d+$/.test(user) && isAccountId(Number(user)) ? Number(user) : undefined);
    if (uid === undefined) {
      const explanation = `${PASSWD} has no user ${
        JSON.stringify(user)
      }; users from elsewhere go by their number`;
      throw new TypeError(`Cannot ${action}: ${explanation}`);
    }
    ids.add(uid);
  }
  return ids;
}

/** The users of /etc/passwd by name; of two lines with one name the first counts, as for the C library. */
function readUsers(libc: Libc): ReadonlyMap<string, number> {
  const users = new Map<string, number>();
  for (const [name, uid] of readAccounts(libc, PASSWD)) if (!users.has(name)) users.set(name, uid);
  return users;
}
