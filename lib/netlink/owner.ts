import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { readFile } from "../procfs/file.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeText } from "../wire/text.ts";
import {
  AF_NETLINK,
  NETLINK_CONNECTOR,
  SO_DOMAIN,
  SO_PROTOCOL,
  SO_RCVTIMEO,
  SO_SNDTIMEO,
  SOL_SOCKET,
} from "./message.ts";

/** A timeout that nobody else sets on a socket, in seconds: more than five years. */
const MARK = 170_170_170;
/** Offsets in `struct timeval` (`__kernel_old_timeval`) on a 64-bit machine. */
const TIMEVAL = { sec: 0, SIZE: 16 } as const;

const threads = new WeakMap<Libc, number | undefined>();

/** The thread id of a worker; undefined on the main thread. */
function workerThread(libc: Libc): number | undefined {
  if (!threads.has(libc)) {
    const stat = readFile(libc, "/proc/thread-self/stat");
    const tid = typeof stat === "number" ? undefined : Number.parseInt(decodeText(stat));
    threads.set(libc, tid === libc.getpid() ? undefined : tid);
  }
  return threads.get(libc);
}

/**
 * Marks a worker's socket with its thread, so that another thread can close it after the worker was terminated: a
 * terminated worker runs no more code, and its descriptors stay open until the process ends. The mark is stored in the
 * socket's timeouts, which have no effect on a socket that never blocks.
 *
 * `what` is a small number, for whoever finds the socket.
 */
export function noteOwner(libc: Libc, fd: number, what: number): void {
  const thread = workerThread(libc);
  if (thread === undefined) return;
  setSeconds(libc, fd, SO_RCVTIMEO, thread);
  setSeconds(libc, fd, SO_SNDTIMEO, MARK + what);
}

/** The number on a connector socket whose worker is gone; undefined if it still has an owner or is not ours. */
export function orphanNote(libc: Libc, fd: number): number | undefined {
  if (getWord(libc, fd, SO_DOMAIN) !== AF_NETLINK || getWord(libc, fd, SO_PROTOCOL) !== NETLINK_CONNECTOR) {
    return undefined;
  }
  const [what, thread] = [getSeconds(libc, fd, SO_SNDTIMEO) - MARK, getSeconds(libc, fd, SO_RCVTIMEO)];
  if (!(what >= 0 && what < 1000 && thread > 0)) return undefined;
  const there = readFile(libc, `/proc/self/task/${thread}/comm`);
  return there === -ERRNO.ENOENT! || there === -ERRNO.ESRCH! ? what : undefined;
}

function setSeconds(libc: Libc, fd: number, option: number, seconds: number): void {
  const time = fixedBytes(TIMEVAL.SIZE);
  viewOf(time).setBigInt64(TIMEVAL.sec, BigInt(seconds), LITTLE);
  libc.setsockopt(fd, SOL_SOCKET, option, time);
}

function getSeconds(libc: Libc, fd: number, option: number): number {
  const time = fixedBytes(TIMEVAL.SIZE);
  const length = libc.getsockopt(fd, SOL_SOCKET, option, time);
  return length < TIMEVAL.SIZE ? -1 : Number(viewOf(time).getBigInt64(TIMEVAL.sec, LITTLE));
}

function getWord(libc: Libc, fd: number, option: number): number {
  const word = fixedBytes(4);
  return libc.getsockopt(fd, SOL_SOCKET, option, word) < 4 ? -1 : viewOf(word).getInt32(0, LITTLE);
}
