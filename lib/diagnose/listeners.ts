import type { Libc } from "../../ffi/libc.ts";
import { readBusSockets, socketOwners } from "../connector/proc_net.ts";
import { CN_IDX_PROC } from "../connector/message.ts";
import { readLink } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import { isOldKernel, UPDATE_KERNEL } from "./kernel.ts";
import type { ReadableScene } from "./context.ts";

const OURSELVES = "this program";

/** So many are named. */
const NAMED = 5;

/** Who else listens to process events, and whether one of them may mute us. */
export function checkListeners({ files }: ReadableScene): Finding {
  const sockets = readBusSockets(files);
  if (sockets === undefined) return unknown("/proc/net/netlink cannot be read");
  const mask = 1 << (CN_IDX_PROC - 1);
  const inodes = sockets
    .filter(({ groups }) => (groups & mask) !== 0)
    .map(({ inode }) => inode);
  if (inodes.length === 0) return ok("no other program listens to process events");
  const { names, hidden, untrusted } = namesOf(files, inodes);
  const shown = [
    ...names.slice(0, NAMED),
    ...names.length > NAMED ? [`${names.length - NAMED} more`] : [],
    ...hidden === 1 ? ["a program that cannot be seen"] : [],
    ...hidden > 1 ? [`${hidden} programs that cannot be seen`] : [],
  ];
  const sum = `${inodes.length} ${
    inodes.length === 1 ? "socket listens" : "sockets listen"
  } to process events: `;
  const finding = sum + shown.join(", ");
  if (untrusted && isOldKernel(files) === true) {
    return warn(`${finding}; before 6.6 each of them can mute every watcher when it ends`, UPDATE_KERNEL);
  }
  return ok(finding);
}

/** The processes that have the sockets, and how many sockets nobody who can be seen has. */
function namesOf(
  libc: Libc,
  inodes: readonly number[],
): { readonly names: readonly string[]; readonly hidden: number; readonly untrusted: boolean } {
  // As the pid namespace of /proc counts, which need not be ours.
  const ownPid = Number(readLink(libc, "/proc/self"));
  const owners = socketOwners(libc, new Set(inodes));
  const names = new Map<number, string>();
  let hidden = 0;
  for (const inode of inodes) {
    const its = owners.get(inode) ?? [];
    if (its.length === 0) hidden++;
    for (const { pid, comm } of its) {
      names.set(pid, pid === ownPid ? OURSELVES : `${comm} (pid ${pid})`);
    }
  }
  const untrusted = hidden > 0 || [...names.keys()].some((pid) => pid !== ownPid);
  const own = names.has(ownPid) ? [OURSELVES] : [];
  return { names: [...own, ...[...names.values()].filter((name) => name !== OURSELVES)], hidden, untrusted };
}
