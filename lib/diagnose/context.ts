import { detectRuntime, type Host } from "../../ffi/host.ts";
import type { ReadCalls, System } from "../../ffi/libc.ts";
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
  readonly files: ReadCalls | undefined;
}

/** A {@linkcode Context} where files can be read. */
export interface ReadableContext extends Context {
  readonly files: ReadCalls;
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
function ownFiles(host: Host): ReadCalls | undefined {
  if (host.runtime === "deno" || host.platform !== "linux") return undefined;
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } };
  const functions = process?.getBuiltinModule?.("node:fs") as FileFunctions | undefined;
  if (functions === undefined) return undefined;
  const files = fileCalls(functions, host.arch === "arm64" ? "arm64" : "x64");
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
 * Reads files with the runtime's own functions, as libc would: enough for /proc where C cannot be called. Directories
 * cannot be listed.
 */
export function fileCalls(files: FileFunctions, arch: ReadCalls["arch"]): ReadCalls {
  return {
    arch,
    open: (path, flags) => attempt(() => files.openSync(decodeCString(path), flags)),
    read: (fd, into, bytes = into.length) => attempt(() => files.readSync(fd, into, 0, bytes)),
    readlink: (path, into) =>
      attempt(() => {
        const target = files.readlinkSync(decodeCString(path), { encoding: "buffer" });
        into.set(target.subarray(0, into.length));
        return Math.min(target.length, into.length);
      }),
    getdents64: () => -ERRNO.ENOSYS!,
    close: (fd) =>
      attempt(() => {
        files.closeSync(fd);
        return 0;
      }),
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
