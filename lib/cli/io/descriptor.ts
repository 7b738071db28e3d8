import { fstatSync, type Stats, writeSync } from "node:fs";
import { isatty } from "node:tty";
import type { Libc } from "../../../ffi/libc.ts";
import { ERRNO } from "../../errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { encodeCString } from "../../wire/text.ts";

/** Writes what there is room for now; answers how many bytes, or `-errno`: `-EAGAIN` where there is no room. */
export type TryWrite = (bytes: Uint8Array) => number;

const O_WRONLY = 1;
const O_NOCTTY = 0o400;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLOUT = 4;

/**
 * How to write to a descriptor without ever waiting in the kernel, where a signal could not end it.
 *
 * Whether a write waits is a property of the open file, which is shared with whoever gave it to us: their side must not
 * change. A pipe and a terminal are opened a second time for that; to a socket it can be said with each call.
 *
 * @param libc Undefined where the runtime has none to give: then a write may wait.
 */
export function tryWriteTo(libc: Libc | undefined, fd: number): TryWrite {
  if (libc === undefined) return waitingWrite(fd);
  const stats = statsOf(fd);
  if (stats?.isSocket()) {
    const connected = fixedBytes(0);
    return (bytes) => libc.sendto(fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, connected);
  }
  if (!stats?.isFIFO() && !isatty(fd)) return (bytes) => libc.write(fd, bytes);
  const path = encodeCString(`/proc/self/fd/${fd}`);
  const own = libc.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own >= 0) return (bytes) => libc.write(own, bytes);
  // It is another user's. Where there is room at all, a pipe has it for what it takes in one piece.
  const pollfd = fixedBytes(8);
  viewOf(pollfd).setInt32(0, fd, LITTLE);
  viewOf(pollfd).setInt16(4, POLLOUT, LITTLE);
  const atOnce = fixedBytes(16);
  return (bytes) => libc.ppoll(pollfd, atOnce) > 0 ? libc.write(fd, bytes) : -ERRNO.EAGAIN!;
}

function waitingWrite(fd: number): TryWrite {
  return (bytes) => {
    try {
      return writeSync(fd, bytes);
    } catch (error) {
      const { code = "" } = error as { code?: string };
      return -(ERRNO[code] ?? ERRNO.EIO!);
    }
  };
}

function statsOf(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    return undefined; // it is not open; writing will say so
  }
}
