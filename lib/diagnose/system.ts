import type { ReadCalls } from "../../ffi/libc.ts";
import { CN_IDX_PROC } from "../connector/message.ts";
import { readBusSockets, socketOwners } from "../connector/proc_net.ts";
import { GIVE_CAPABILITY, RAISE_LIMIT } from "../errors/advice.ts";
import { clampReceiveBuffer, NetlinkSocket } from "../netlink/socket.ts";
import { DEFAULT_RECEIVE_BUFFER_BYTES } from "../processes/options.ts";
import { readDirectory, readLink, readTextFile } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import type { CallableContext, ReadableContext } from "./context.ts";
import { isOldKernel, UPDATE_KERNEL } from "./kernel.ts";
import { OwnStatus } from "./permissions.ts";

/** What the kernel charges a receive buffer for one process event. */
const EVENT_BYTES = 832;

const OURSELVES = "this program";

/** How many listeners are named; the rest are counted. */
const NAMED_LISTENERS = 5;

/** A watch opens a socket, an epoll set, an eventfd and one file at a time; the runtime needs some of its own. */
const ENOUGH_DESCRIPTORS = 32;

/** How much of the receive buffer that a watch requests the kernel grants, and why not more. */
export function checkReceiveBuffer({ system }: CallableContext): Finding {
  const asked = clampReceiveBuffer(system.libc, DEFAULT_RECEIVE_BUFFER_BYTES, "diagnose");
  let granted: number;
  try {
    using socket = NetlinkSocket.open(system.libc, "diagnose");
    granted = socket.setReceiveBuffer(asked);
  } catch {
    return unknown("no socket of the connector can be opened");
  }
  const limit = numberIn(readTextFile(system.libc, "/proc/sys/net/core/rmem_max"));
  const available = numberIn(
    /^MemAvailable:.*$/m.exec(readTextFile(system.libc, "/proc/meminfo") ?? "")?.[0],
  );
  const events = Number((granted / EVENT_BYTES).toPrecision(2));
  // The kernel doubles the requested size to account for its overhead; the library's statistics show that figure, too.
  const facts =
    `${size(granted)} of ${
      size(asked * 2)
    } granted, with the kernel's overhead: room for about ${events} events; ` +
    `net.core.rmem_max is ${limit === undefined ? "unknown" : size(limit)}, ` +
    `MemAvailable ${available === undefined ? "unknown" : size(available * 1024)}`;
  if (granted >= asked * 2) {
    return ok(limit !== undefined && asked > limit ? `${facts}; CAP_NET_ADMIN lifts that limit` : facts);
  }
  return warn(facts, `raise the limit (sysctl net.core.rmem_max=${asked}), or run with CAP_NET_ADMIN`);
}

function numberIn(text: string | undefined): number | undefined {
  const digits = /\d+/.exec(text ?? "")?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** `208 KiB`, `32 MiB`. */
function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const [value, unit] = bytes < 2 ** 20
    ? [bytes / 1024, "KiB"]
    : bytes < 2 ** 30
    ? [bytes / 2 ** 20, "MiB"]
    : [bytes / 2 ** 30, "GiB"];
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${unit}`;
}

/** Who listens to process events, and whether one of them can mute us. */
export function checkListeners({ files }: ReadableContext): Finding {
  const sockets = readBusSockets(files);
  if (sockets === undefined) return unknown("/proc/net/netlink cannot be read");
  const mask = 1 << (CN_IDX_PROC - 1);
  const inodes = sockets
    .filter(({ groups }) => (groups & mask) !== 0)
    .map(({ inode }) => inode);
  if (inodes.length === 0) return ok("no other program listens to process events");
  const { names, hidden, others } = namesOf(files, inodes);
  const shown = [
    ...names.slice(0, NAMED_LISTENERS),
    ...names.length > NAMED_LISTENERS ? [`${names.length - NAMED_LISTENERS} more`] : [],
    ...hidden === 1 ? ["a program whose process is hidden from us"] : [],
    ...hidden > 1 ? [`${hidden} programs whose processes are hidden from us`] : [],
  ];
  const count = `${inodes.length} ${
    inodes.length === 1 ? "socket listens" : "sockets listen"
  } to process events: `;
  const finding = count + shown.join(", ");
  if (others && isOldKernel(files) === true) {
    return warn(`${finding}; before 6.6 each of them can mute every watcher when it ends`, UPDATE_KERNEL);
  }
  return ok(finding);
}

/** The processes that own the sockets, and the number of sockets whose owner is hidden from us. */
function namesOf(
  libc: ReadCalls,
  inodes: readonly number[],
): { readonly names: readonly string[]; readonly hidden: number; readonly others: boolean } {
  // In the pid namespace of /proc, which may differ from ours.
  const ownPid = Number(readLink(libc, "/proc/self"));
  const owners = socketOwners(libc, new Set(inodes));
  const names = new Map<number, string>();
  let hidden = 0;
  for (const inode of inodes) {
    const holders = owners.get(inode) ?? [];
    if (holders.length === 0) hidden++;
    for (const { pid, comm } of holders) {
      names.set(pid, pid === ownPid ? OURSELVES : `${comm} (pid ${pid})`);
    }
  }
  const others = hidden > 0 || [...names.keys()].some((pid) => pid !== ownPid);
  const own = names.has(ownPid) ? [OURSELVES] : [];
  return { names: [...own, ...[...names.values()].filter((name) => name !== OURSELVES)], hidden, others };
}

/** Whether the mount options hidepid and subset hide processes from us. */
export function checkProc({ files }: ReadableContext): Finding {
  const mounts = readTextFile(files, "/proc/self/mountinfo");
  if (mounts === undefined) return unknown("/proc/self/mountinfo cannot be read");
  const options = optionsOfProc(mounts);
  if (options === undefined) return unknown("no file system of type proc is mounted on /proc");
  const hidepid = options.get("hidepid") ?? "off";
  if (options.get("subset") === "pid") {
    return warn(
      "/proc is mounted with subset=pid: only the files of processes can be read",
      "mount it without subset=pid",
    );
  }
  if (hidepid === "off" || hidepid === "0") return ok("/proc shows the processes of every user");
  const status = OwnStatus.read(files);
  if (status?.has("CAP_SYS_PTRACE") === true) {
    return ok(`hidepid=${hidepid}, but CAP_SYS_PTRACE overrides it`);
  }
  const gid = options.get("gid");
  // hidepid=4 (ptraceable) makes no exception for the group.
  if (
    gid !== undefined && hidepid !== "4" && hidepid !== "ptraceable" && status?.groups.includes(Number(gid))
  ) {
    return ok(`hidepid=${hidepid}, but group ${gid}, which we are in, is exempt`);
  }
  return warn(
    `hidepid=${hidepid}: events of other users' processes arrive, but without command line, executable and user`,
    gid === undefined ? GIVE_CAPABILITY_TO_TRACE : `join group ${gid}, or ${GIVE_CAPABILITY_TO_TRACE}`,
  );
}

const GIVE_CAPABILITY_TO_TRACE = `${GIVE_CAPABILITY} (CAP_SYS_PTRACE)`;

/** The options of the file system last mounted on /proc; undefined where that is not proc. */
function optionsOfProc(mounts: string): ReadonlyMap<string, string> | undefined {
  let options: ReadonlyMap<string, string> | undefined;
  for (const line of mounts.split("\n")) {
    // id parent device root mountpoint options [fields] - type source superoptions
    const [before = "", after = ""] = line.split(" - ");
    if (before.split(" ")[4] !== "/proc") continue;
    const [type, , superOptions = ""] = after.split(" ");
    options = type !== "proc" ? undefined : new Map(
      superOptions.split(",").map((option) => {
        const [name = "", value = ""] = option.split("=");
        return [name, value];
      }),
    );
  }
  return options;
}

/** How many descriptors are left below the limit. */
export function checkDescriptors({ files }: ReadableContext): Finding {
  const limits = readTextFile(files, "/proc/self/limits");
  const soft = /^Max open files\s+(\d+|unlimited)\s/m.exec(limits ?? "")?.[1];
  if (soft === undefined) return unknown("/proc/self/limits cannot be read");
  const limit = soft === "unlimited" ? Infinity : Number(soft);
  const open = [...readDirectory(files, "/proc/self/fd")].map(Number);
  // An inherited descriptor whose number is not below the limit takes none of those that may still be opened.
  const used = open.filter((fd) => fd < limit).length;
  const beyond = open.length - used;
  // Where directories cannot be listed, the number in use is unknown.
  const finding = open.length === 0 ? `up to ${soft}` : `${used} of up to ${soft} are open` +
    (beyond === 0 ? "" : `, and ${beyond} inherited with numbers beyond the limit`);
  return limit - used >= ENOUGH_DESCRIPTORS ? ok(finding) : warn(finding, RAISE_LIMIT);
}
