import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { decodeCString } from "../wire/text.ts";

/** The slice of `node:fs` that is used. */
export interface FileFunctions {
  openSync(path: string, flags: number): number;
  readSync(fd: number, into: Uint8Array, offset: number, bytes: number): number;
  readlinkSync(path: string, options: { encoding: "buffer" }): Uint8Array;
  closeSync(fd: number): void;
}

/**
 * A libc that can only read files, by the runtime's own functions: enough to look at /proc where C cannot be called.
 * Everything else answers ENOSYS.
 */
export function fileCalls(files: FileFunctions): Libc {
  const missing = (): number => -ERRNO.ENOSYS!;
  return {
    arch: "x64",
    socket: missing,
    bind: missing,
    getsockname: missing,
    setsockopt: missing,
    getsockopt: missing,
    sendto: missing,
    recvmsg: missing,
    recvmmsg: missing,
    ppoll: missing,
    epoll_create1: missing,
    epoll_ctl: missing,
    eventfd: missing,
    open: (path, flags) => attempt(() => files.openSync(decodeCString(path), flags)),
    read: (fd, into, bytes = into.length) => attempt(() => files.readSync(fd, into, 0, bytes)),
    pread: missing,
    write: missing,
    pwrite: missing,
    ftruncate: missing,
    fdatasync: missing,
    fstat: missing,
    flock: missing,
    readlink: (path, into) =>
      attempt(() => {
        const target = files.readlinkSync(decodeCString(path), { encoding: "buffer" });
        into.set(target.subarray(0, into.length));
        return Math.min(target.length, into.length);
      }),
    getdents64: missing,
    close: (fd) =>
      attempt(() => {
        files.closeSync(fd);
        return 0;
      }),
    prctl: missing,
    pidfd_open: missing,
    waitid: missing,
    ioctl: missing,
    prlimit: missing,
    bpf: missing,
    getpid: missing,
    geteuid: missing,
    clock_gettime: missing,
    addressOf: () => 0n,
  };
}

/** The runtime's errors carry the negative number, as libuv has it. */
function attempt(call: () => number): number {
  try {
    return call();
  } catch (error) {
    const { errno } = error as { errno?: unknown };
    return typeof errno === "number" && errno < 0 ? errno : -ERRNO.EIO!;
  }
}
