import { detectRuntime, type Host } from "../../ffi/host.ts";
import type { Libc, System } from "../../ffi/libc.ts";
import { openSystem } from "../system.ts";
import { ERRNO } from "../errors/errno.ts";
import { readTextFile } from "../procfs/file.ts";
import { decodeCString } from "../wire/text.ts";

/** What the checks examine. */
export interface Context {
  readonly host: Host;
  /** Undefined where C cannot be called. */
  readonly system: System | undefined;
  /** Why C cannot be called. */
  readonly refusal: unknown;
  /** Reads files, by libc or by the runtime's own functions; undefined where neither is possible. */
  readonly files: Libc | undefined;
}

/** A {@linkcode Context} where files can be read. */
export interface ReadableContext extends Context {
  readonly files: Libc;
}

/** A {@linkcode Context} where C can be called. */
export interface CallableContext extends ReadableContext {
  readonly system: System;
}

/** The context of this process. Never throws. */
export async function openContext(): Promise<Context> {
  const host = detectRuntime();
  try {
    const system = await openSystem("diagnose");
    return { host, system, refusal: undefined, files: system.libc };
  } catch (refusal) {
    return { host, system: undefined, refusal, files: ownFiles(host) };
  }
}

/** Reads files without C, where that works. Not on Deno: it denies /proc, and might prompt the user. */
function ownFiles(host: Host): Libc | undefined {
  if (host.runtime === "deno" || host.platform !== "linux") return undefined;
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const functions = process?.getBuiltinModule?.("node:fs") as FileFunctions | undefined;
  if (functions === undefined) return undefined;
  const files = fileCalls(functions);
  return readTextFile(files, "/proc/self/status") === undefined ? undefined : files;
}

/** The part of `node:fs` that is used. */
interface FileFunctions {
  openSync(path: string, flags: number): number;
  readSync(fd: number, into: Uint8Array, offset: number, bytes: number): number;
  readlinkSync(path: string, options: { encoding: "buffer" }): Uint8Array;
  closeSync(fd: number): void;
}

/**
 * A libc that can only read files, with the runtime's own functions: enough for /proc where C cannot be called.
 * Every other call returns -ENOSYS.
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
    recvfrom: missing,
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

/** The runtime's errors carry the negative errno, as libuv reports it. */
function attempt(call: () => number): number {
  try {
    return call();
  } catch (error) {
    const { errno } = error as { errno?: unknown };
    return typeof errno === "number" && errno < 0 ? errno : -ERRNO.EIO!;
  }
}
