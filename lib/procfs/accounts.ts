import type { ReadCalls } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { readFile } from "./file.ts";
import { decodeText } from "../wire/text.ts";

/** The file of user names. */
export const PASSWD = "/etc/passwd";
const GROUP = "/etc/group";
/** Half a million accounts. A longer file is something else, and would be cut within a line. */
const LIMIT_BYTES = 64 << 20;
const NEWLINE = 10;

/** A user that a program can run as. */
export interface UserAccount {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * The names in /etc/passwd or /etc/group, each with its id, in the order of the file; none if there is no such file. As
 * in the C library, accounts that are commented out do not count.
 *
 * @throws {SyscallError} If it cannot be read, or (EFBIG) is larger than 64 MiB: an incomplete list would mislead.
 */
export function* readAccounts(
  libc: ReadCalls,
  path: typeof PASSWD | typeof GROUP,
): Generator<readonly [string, number], void> {
  for (const [name, , id] of readFields(libc, path)) yield [name!, Number(id)];
}

/**
 * The users of /etc/passwd by number; of two lines with one number the first counts, as in the C library.
 *
 * @throws {SyscallError} As {@linkcode readAccounts}.
 */
export function readUserAccounts(libc: ReadCalls): ReadonlyMap<number, UserAccount> {
  const accounts = new Map<number, UserAccount>();
  for (const [name, , id, gid, , home = ""] of readFields(libc, PASSWD)) {
    const uid = Number(id);
    if (accounts.has(uid) || !isId(gid)) continue;
    accounts.set(uid, { name: name!, uid, gid: Number(gid), home: home === "" ? "/" : home });
  }
  return accounts;
}

/** The fields of each line that has a name and an id. */
function* readFields(libc: ReadCalls, path: string): Generator<readonly string[], void> {
  const action = `read the names in ${path}`;
  const bytes = readFile(libc, path, LIMIT_BYTES + 1);
  if (bytes === -ERRNO["ENOENT"]!) return;
  if (typeof bytes === "number") throw new SyscallError(action, "open or read", -bytes);
  if (bytes.length > LIMIT_BYTES) {
    throw new SyscallError(action, "read", ERRNO["EFBIG"]!, `it has more than ${LIMIT_BYTES} bytes`);
  }
  // Line by line: decoding a large file at once would double its memory.
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, at);
    const stop = end < 0 ? bytes.length : end;
    const fields = decodeText(bytes, at, stop).trimStart().split(":");
    const [name = "", , id] = fields;
    if (name !== "" && !name.startsWith("#") && isId(id)) yield fields;
    at = stop + 1;
  }
}

function isId(text: string | undefined): boolean {
  return text !== undefined && /^\d+$/.test(text) && isAccountId(Number(text));
}

/** The kernel uses -1 for "no user". */
export function isAccountId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 0xffff_ffff;
}

/**
 * The names of users by their ids, as now in /etc/passwd. Users from elsewhere (LDAP, systemd) are not there.
 * Names are not sanitized: escape them before printing them on a terminal.
 *
 * @throws {UnsupportedError} If libc cannot be called.
 * @throws {SyscallError} If the file exists and cannot be read whole. Without the file there are no names.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { userNames } from "kernel-connector";
 *
 * const names = await userNames();
 * assert.equal(names.get(0), "root");
 * ```
 */
export function userNames(): Promise<ReadonlyMap<number, string>> {
  return namesById(PASSWD, "read the names of users");
}

/**
 * The names of groups by their ids, as now in /etc/group: see {@linkcode userNames}.
 *
 * @throws {UnsupportedError} If libc cannot be called.
 * @throws {SyscallError} If the file exists and cannot be read whole.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { groupNames } from "kernel-connector";
 *
 * const names = await groupNames();
 * assert.equal(names.get(0), "root");
 * ```
 */
export function groupNames(): Promise<ReadonlyMap<number, string>> {
  return namesById(GROUP, "read the names of groups");
}

async function namesById(
  path: typeof PASSWD | typeof GROUP,
  action: string,
): Promise<Map<number, string>> {
  const { libc } = await openSystem(action);
  const names = new Map<number, string>();
  // If an id has several names the first one counts, as in the C library.
  for (const [name, id] of readAccounts(libc, path)) if (!names.has(id)) names.set(id, name);
  return names;
}
