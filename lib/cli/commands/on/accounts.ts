import type { ReadCalls } from "../../../../ffi/libc.ts";
import { PASSWD } from "../../../procfs/accounts.ts";
import { readTextFile } from "../../../procfs/file.ts";

/** A user that a program can run as. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The users of /etc/passwd by number; of two lines with one number the first counts, as for the C library. */
export function readUserAccounts(libc: ReadCalls): ReadonlyMap<number, Account> {
  const accounts = new Map<number, Account>();
  for (const line of (readTextFile(libc, PASSWD) ?? "").split("\n")) {
    const [name = "", , uid = "", gid = "", , home = "/"] = line.split(":");
    if (name === "" || name.startsWith("#") || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue;
    if (!accounts.has(Number(uid))) {
      accounts.set(Number(uid), { name, uid: Number(uid), gid: Number(gid), home });
    }
  }
  return accounts;
}
