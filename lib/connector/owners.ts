import type { Libc } from "../../ffi/libc.ts";
import { readLink, readTextFile } from "../procfs/file.ts";
import { readDirectory } from "../procfs/directory.ts";

/** A process that has a socket open. */
export interface SocketOwner {
  /** The process. */
  readonly pid: number;
  /** Its name, up to 15 bytes. */
  readonly comm: string;
}

/** The name of a process, or undefined where it has gone. */
export function commOf(libc: Libc, pid: number): string | undefined {
  return readTextFile(libc, `/proc/${pid}/comm`)?.replace(/\n$/, "");
}

/**
 * The processes that have each of these sockets open, by the socket's inode. Only processes of this pid namespace, and
 * of other users only with CAP_SYS_PTRACE, can be looked into.
 */
export function socketOwners(
  libc: Libc,
  inodes: ReadonlySet<number>,
): ReadonlyMap<number, readonly SocketOwner[]> {
  const owners = new Map<number, SocketOwner[]>();
  if (inodes.size === 0) return owners;
  for (const name of readDirectory(libc, "/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let owner: SocketOwner | undefined;
    for (const fd of readDirectory(libc, `/proc/${name}/fd`)) {
      const inode = Number(/^socket:\[(\d+)\]$/.exec(readLink(libc, `/proc/${name}/fd/${fd}`) ?? "")?.[1]);
      if (!inodes.has(inode)) continue;
      owner ??= {
        pid: Number(name),
        comm: commOf(libc, Number(name)) ?? "",
      };
      const known = owners.get(inode);
      if (known === undefined) owners.set(inode, [owner]);
      else if (known.at(-1) !== owner) known.push(owner);
    }
  }
  return owners;
}
