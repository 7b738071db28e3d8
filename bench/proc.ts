/** What /proc shows of a running contender. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sleep } from "./child.ts";

const NETLINK_CONNECTOR = 11;
const PAGE_BYTES = 4096;

/** Resolves when process `pid` has a connector socket in group 1: for programs that print no `ready`. */
export async function untilSubscribed(pid: number, seconds: number): Promise<void> {
  const limit = performance.now() + seconds * 1000;
  while (!isSubscribed(pid)) {
    if (performance.now() > limit) throw new Error(`process ${pid} did not subscribe`);
    await sleep(10);
  }
  await sleep(50); // LISTEN comes after the membership
}

function isSubscribed(pid: number): boolean {
  const inodes = new Set(socketInodes(pid));
  return readFileSync("/proc/net/netlink", "latin1").split("\n").slice(1).some((line) => {
    const [, protocol, , groups, , , , , , inode] = line.trim().split(/\s+/);
    return Number(protocol) === NETLINK_CONNECTOR && (Number.parseInt(groups ?? "", 16) & 1) === 1 &&
      inodes.has(inode!);
  });
}

function socketInodes(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed in the meantime
      }
    });
  } catch {
    return []; // ended in the meantime
  }
}

export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
}

/** Voluntary context switches of each thread, which equals the number of its wake-ups. */
export function sleepsOfThreads(pid: number): ReadonlyMap<string, number> {
  const sleeps = new Map<string, number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    try {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
      sleeps.set(tid, Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // the thread ended in the meantime
    }
  }
  return sleeps;
}

/** Wake-ups between two samples. Threads that ended in the meantime are left out. */
export function wakeUpsBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  let sum = 0;
  for (const [tid, count] of after) sum += count - (before.get(tid) ?? 0);
  return sum;
}
