import { fstatSync, type Stats, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_WRONLY, POLLOUT } from "../../../ffi/constants.ts";
import { DescriptorPoll } from "../../../ffi/descriptor_poll.ts";
import type { Libc } from "../../../ffi/libc.ts";
import { ERRNO } from "../../errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { encodeCString } from "../../wire/text.ts";

/** Writes what there is room for now; returns how many bytes, or `-errno`: `-EAGAIN` if there is no room. */
export type TryWrite = (bytes: Uint8Array) => number;

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const FIONREAD = 0x541b;
/** A write of at most this size to a pipe is never split (PIPE_BUF). */
const PIPE_BUF = 4096;
const NEWLINE = 10;

/**
 * A way to write to a descriptor without ever blocking in the kernel, where a signal handler could not run.
 *
 * O_NONBLOCK belongs to the open file, which is shared with the process that gave it to us and must not change for it.
 * So a pipe or terminal is opened a second time; for a socket, each call can say MSG_DONTWAIT.
 *
 * @param libc Undefined if the runtime has none: then a write may block.
 */
export function tryWriteTo(libc: Libc | undefined, fd: number): TryWrite {
  if (libc === undefined) return waitingWrite(fd);
  const stats = statsOf(fd);
  if (stats?.isSocket()) {
    const connected = fixedBytes(0);
    return inWholeLines((bytes) => libc.sendto(fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, connected));
  }
  const isPipe = stats?.isFIFO() === true;
  if (!isPipe && !isatty(fd)) return (bytes) => libc.write(fd, bytes);
  const path = encodeCString(`/proc/self/fd/${fd}`);
  const own = libc.open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (own >= 0) {
    const write: TryWrite = (bytes) => libc.write(own, bytes);
    return inWholeLines(isPipe ? whereLongLinesFit(libc, own, write) : write);
  }
  // It belongs to another user. A pipe that has room at all has room for PIPE_BUF bytes.
  const poll = new DescriptorPoll(libc);
  const write: TryWrite = (bytes) => poll.ready(fd, POLLOUT) > 0 ? libc.write(fd, bytes) : -ERRNO.EAGAIN!;
  return inWholeLines(whereLongLinesFit(libc, fd, write));
}

/** Writes as many whole lines as fit into one unsplit write, or one line that is longer. */
export function inWholeLines(tryWrite: TryWrite): TryWrite {
  return (bytes) => {
    if (bytes.length <= PIPE_BUF) return tryWrite(bytes);
    const last = bytes.lastIndexOf(NEWLINE, PIPE_BUF - 1);
    const end = last >= 0 ? last + 1 : bytes.indexOf(NEWLINE, PIPE_BUF) + 1;
    return tryWrite(end === 0 ? bytes : bytes.subarray(0, end));
  };
}

/**
 * Keeps a line longer than PIPE_BUF until the pipe is empty: then there is room for all of it (64 KiB by default), and
 * it is not cut if the reader never reads again.
 */
function whereLongLinesFit(libc: Libc, fd: number, tryWrite: TryWrite): TryWrite {
  const unread = fixedBytes(4);
  const unreadView = viewOf(unread);
  return (bytes) => {
    if (bytes.length <= PIPE_BUF) return tryWrite(bytes);
    libc.ioctl(fd, FIONREAD, unread);
    return unreadView.getUint32(0, LITTLE) > 0 ? -ERRNO.EAGAIN! : tryWrite(bytes);
  };
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
    return undefined; // it is not open; writing will fail
  }
}
