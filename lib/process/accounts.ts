import type { Libc } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import { readTextFile } from "../wire/file.ts";

/** Where names of users stand. */
export const PASSWD = "/etc/passwd";
const GROUP = "/etc/group";

/** The names in /etc/passwd or /etc/group, each with its id, in the order of the file; nothing where it cannot be read. */
export function* readAccounts(
  libc: Libc,
  path: typeof PASSWD | typeof GROUP,
): Generator<readonly [string, number], void> {
  for (const line of (readTextFile(libc, path) ?? "").split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (name !== "" && /^\d+$/.test(id) && isAccountId(Number(id))) yield [name, Number(id)];
  }
}

/** -1 is the kernel's word for nobody at all. */
export function isAccountId(id: number): boolean {
  return Number.isInteger(id) && id >= 0 && id < 0xffff_ffff;
}

/**
 * The names of users by their number, as /etc/passwd has them now. Users from elsewhere (LDAP, systemd) are not there.
 * A name is what the file says: show it on a terminal with care.
 *
 * @throws {UnsupportedError} Where libc cannot be called.
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
  return namesIn(PASSWD, "read the names of users");
}

/**
 * The names of groups by their number, as /etc/group has them now: see {@linkcode userNames}.
 *
 * @throws {UnsupportedError} Where libc cannot be called.
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
  return namesIn(GROUP, "read the names of groups");
}

async function namesIn(path: typeof PASSWD | typeof GROUP, action: string): Promise<Map<number, string>> {
  const { libc } = await openMachine(action);
  const names = new Map<number, string>();
  // Of several names of one number the first counts, as for the C library.
  for (const [name, id] of readAccounts(libc, path)) if (!names.has(id)) names.set(id, name);
  return names;
}
