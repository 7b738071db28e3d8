import type { Libc } from "../../ffi/libc.ts";
import type { ProcEvent } from "../protocols/proc/event.ts";
import { isAccountId, PASSWD, readAccounts } from "./accounts.ts";
import type { ProcessField, ProcessInfo } from "./info.ts";
import type { WithProcess } from "./table.ts";

/** A text that is wanted: this one, or one that the expression matches; or any of several. */
export type TextPattern = string | RegExp | readonly (string | RegExp)[];

/**
 * Which processes are wanted, by what the events themselves do not tell. What is undefined is not asked for; of what is
 * asked for, all must hold, and what is not known of a process does not hold.
 *
 * A fork is judged by the child, which is what its parent is.
 */
export interface ProcessFilter {
  /** Users by name (of /etc/passwd) or number: either the real or the effective user of a process. */
  readonly users?: readonly (string | number)[] | undefined;
  /** The process's name: that of its main thread. */
  readonly comm?: TextPattern | undefined;
  /** The program's file: its whole path, or its last part where the pattern has no `/`. An expression sees the path. */
  readonly exe?: TextPattern | undefined;
  /** The path in the unified hierarchy: this group and those in it. An expression sees the path. */
  readonly cgroup?: TextPattern | undefined;
}

/** A filter, checked and with its users' numbers. */
export interface CheckedProcessFilter {
  readonly users: ReadonlySet<number> | undefined;
  readonly comm: ((text: string) => boolean) | undefined;
  readonly exe: ((text: string) => boolean) | undefined;
  readonly cgroup: ((text: string) => boolean) | undefined;
  /** What it needs read of each process. */
  readonly fields: readonly ProcessField[];
}

/** What the kernel adds to the path of a file that was replaced or removed since it was started. */
const DELETED = " (deleted)";

/**
 * Checks a filter and looks its users up.
 *
 * @param action completes "Cannot …" in the errors.
 * @returns Undefined where nothing was asked for.
 * @throws {TypeError} For a user that /etc/passwd does not have, an empty list, or a value that is no pattern.
 */
export function checkProcessFilter(
  filter: ProcessFilter,
  libc: Libc,
  action: string,
): CheckedProcessFilter | undefined {
  const { users, comm, exe, cgroup } = filter;
  const fields: ProcessField[] = [];
  if (users !== undefined) fields.push("user");
  if (exe !== undefined) fields.push("exe");
  if (cgroup !== undefined) fields.push("cgroup");
  if (fields.length === 0 && comm === undefined) return undefined;
  return {
    users: users && userIds(users, libc, action),
    comm: comm === undefined ? undefined : matcher(comm, isEqual, "comm", action),
    exe: exe === undefined ? undefined : matcher(exe, isFile, "exe", action),
    cgroup: cgroup === undefined ? undefined : matcher(cgroup, isGroup, "cgroup", action),
    fields,
  };
}

/** Whether an event is wanted, by its `process`. Losses always are. */
export function wantedProcess(filter: CheckedProcessFilter, event: WithProcess<ProcEvent>): boolean {
  if (event.type === "lost") return true;
  return event.process !== undefined && isWanted(filter, event.process);
}

/** Whether a process is wanted. */
export function isWanted({ users, comm, exe, cgroup }: CheckedProcessFilter, info: ProcessInfo): boolean {
  if (users !== undefined && !hasUser(users, info)) return false;
  if (comm !== undefined && (info.comm === undefined || !comm(info.comm))) return false;
  if (exe !== undefined && (info.exe === undefined || !exe(info.exe))) return false;
  return cgroup === undefined || (info.cgroup !== undefined && cgroup(info.cgroup));
}

function hasUser(users: ReadonlySet<number>, { uid, effectiveUid }: ProcessInfo): boolean {
  return (uid !== undefined && users.has(uid)) || (effectiveUid !== undefined && users.has(effectiveUid));
}

/** The numbers of users; /etc/passwd is read only where one is given by name. */
function userIds(users: readonly (string | number)[], libc: Libc, action: string): ReadonlySet<number> {
  if (users.length === 0) throw new TypeError(`Cannot ${action}: the list of users is empty`);
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

function matcher(
  pattern: TextPattern,
  isMatch: (pattern: string, text: string) => boolean,
  name: string,
  action: string,
): (text: string) => boolean {
  const patterns: readonly unknown[] = Array.isArray(pattern) ? pattern : [pattern];
  if (patterns.length === 0) throw new TypeError(`Cannot ${action}: the list for ${name} is empty`);
  const tests = patterns.map((each): (text: string) => boolean => {
    if (typeof each === "string") return (text) => isMatch(each, text);
    if (!(each instanceof RegExp)) {
      throw new TypeError(
        `Cannot ${action}: ${name} must be text or a regular expression, and is ${String(each)}`,
      );
    }
    // With g or y an expression would remember where it matched last.
    const expression = new RegExp(each.source, each.flags.replace(/[gy]/g, ""));
    return (text) => expression.test(text);
  });
  return tests.length === 1 ? tests[0]! : (text) => tests.some((test) => test(text));
}

function isEqual(pattern: string, text: string): boolean {
  return pattern === text;
}

function isFile(pattern: string, path: string): boolean {
  const file = path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path;
  if (!pattern.includes("/")) return file.endsWith(`/${pattern}`);
  return pattern === file || pattern === path;
}

function isGroup(pattern: string, path: string): boolean {
  if (path === pattern || pattern === "/") return true;
  return path.startsWith(pattern.endsWith("/") ? pattern : `${pattern}/`);
}
