/** What /proc says of a contender while it runs. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { sleep } from "./child.ts";

const NETLINK_CONNECTOR = 11;
const PAGE_BYTES = 4096;

/** Resolves when process `pid` has a connector socket in group 1: the sign of life of a program that says nothing. */
export async function untilSubscribed(pid: number, seconds: number): Promise<void> {
  const limit = performance.now() + seconds * 1000;
  while (!isSubscribed(pid)) {
    if (performance.now() > limit) throw new Error(`process ${pid} has not subscribed`);
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
        return []; // closed meanwhile
      }
    });
  } catch {
    return []; // ended meanwhile
  }
}

export function residentBytes(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES;
}

/** How often each thread of a process has gone to sleep by itself: the times that it was awake. */
export function sleepsOfThreads(pid: number): ReadonlyMap<string, number> {
  const sleeps = new Map<string, number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    try {
      const status = readFileSync(`/proc/${pid}/task/${tid}/status`, "latin1");
      sleeps.set(tid, Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // the thread ended meanwhile
    }
  }
  return sleeps;
}

/** How often the threads woke up between two looks. A thread that has ended meanwhile is left out. */
export function wakeUpsBetween(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): number {
  let sum = 0;
  for (const [tid, count] of after) sum += count - (before.get(tid) ?? 0);
  return sum;
}
