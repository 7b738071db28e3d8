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

/** A time that nobody else gives a socket, in seconds: more than five years. */
const MARK = 170_170_170;
/** Offsets in `struct timeval` (`__kernel_old_timeval`) on a 64-bit machine. */
const TIMEVAL = { sec: 0, SIZE: 16 } as const;

const threads = new WeakMap<Libc, number | undefined>();

/** The number of this thread where it is not the process's first: that of a worker. */
function workerThread(libc: Libc): number | undefined {
  if (!threads.has(libc)) {
    const stat = readFile(libc, "/proc/thread-self/stat");
    const tid = typeof stat === "number" ? undefined : Number.parseInt(decodeText(stat));
    threads.set(libc, tid === libc.getpid() ? undefined : tid);
  }
  return threads.get(libc);
}

/**
 * Notes on a socket of a worker's who it belongs to, so that another thread can close it when the worker was terminated:
 * nothing of a terminated worker runs any more, and its descriptors stay open as long as the process lives. The note is
 * kept where the kernel keeps it for us and where it means nothing: in the time-outs of a socket that never blocks.
 *
 * `what` is a small number for who finds the socket.
 */
export function noteOwner(libc: Libc, fd: number, what: number): void {
  const thread = workerThread(libc);
  if (thread === undefined) return;
  setSeconds(libc, fd, SO_RCVTIMEO, thread);
  setSeconds(libc, fd, SO_SNDTIMEO, MARK + what);
}

/** What was noted on a descriptor of the connector whose worker is gone, or undefined: it is somebody's, or not ours. */
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
