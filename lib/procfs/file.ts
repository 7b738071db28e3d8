import { O_CLOEXEC, O_PATH, O_RDONLY } from "../../ffi/constants.ts";
import type { ReadCalls } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { fixedBytes } from "../wire/bytes.ts";
import { decodeCString, decodeText, encodeCString } from "../wire/text.ts";
import { forEachName } from "./text.ts";

const DIRECTORY_BYTES = 32_768;
const CHUNK_BYTES = 16384;
/** Of include/linux/fs_types.h. */
const DT_DIR = 4;
/** How often a read is repeated after a signal. */
const MAX_INTERRUPTIONS = 16;

/** Whether `count` more files can be opened: a descriptor is left for each. */
export function canOpenFiles(libc: ReadCalls, count: number): boolean {
  const path = encodeCString("/proc/self/stat");
  const results = Array.from({ length: count }, () => libc.open(path, O_RDONLY | O_CLOEXEC));
  for (const fd of results) if (fd >= 0) libc.close(fd);
  return !results.some((fd) => fd === -ERRNO.EMFILE! || fd === -ERRNO.ENFILE!);
}

/**
 * Reads a whole small file through libc: Deno's own file functions refuse /proc, whatever was granted.
 *
 * @returns The bytes, cut at `limitBytes`, or `-errno`.
 */
export function readFile(libc: ReadCalls, path: string, limitBytes: number = 1 << 20): Uint8Array | number {
  const fd = libc.open(encodeCString(path), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  let bytes = fixedBytes(CHUNK_BYTES);
  let length = 0;
  let got = 0;
  // A read of a file in /proc may return less than asked for before the end: only 0 is the end.
  while (length < limitBytes && (got = read(libc, fd, bytes.subarray(length))) !== 0) {
    if (got < 0) break;
    length += got;
    if (length === bytes.length) {
      const larger = fixedBytes(bytes.length * 2);
      larger.set(bytes);
      bytes = larger;
    }
  }
  libc.close(fd);
  return got < 0 ? got : bytes.subarray(0, Math.min(length, limitBytes));
}

/**
 * Reads the start of a file into a buffer, without an allocation. A short file in /proc is read whole.
 *
 * @param path ends with a NUL.
 * @returns How many bytes, or `-errno`.
 */
export function readStart(libc: ReadCalls, path: Uint8Array, into: Uint8Array): number {
  const fd = libc.open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  const length = read(libc, fd, into);
  libc.close(fd);
  return length;
}

function read(libc: ReadCalls, fd: number, into: Uint8Array): number {
  let length = libc.read(fd, into);
  for (let tries = 0; length === -ERRNO.EINTR! && tries < MAX_INTERRUPTIONS; tries++) {
    length = libc.read(fd, into);
  }
  return length;
}

/**
 * Reads a directory block by block into `block`, and calls `onBlock` with the length of each.
 *
 * @param path ends with a NUL.
 * @returns The call that failed with its `-errno`, or undefined at the end of the directory.
 */
export function readBlocks(
  libc: ReadCalls,
  path: Uint8Array,
  block: Uint8Array,
  onBlock: (length: number) => void,
): { readonly call: "open" | "getdents64"; readonly result: number } | undefined {
  const fd = libc.open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return { call: "open", result: fd };
  try {
    let length: number;
    while ((length = libc.getdents64(fd, block)) > 0) onBlock(length);
    return length < 0 ? { call: "getdents64", result: length } : undefined;
  } finally {
    libc.close(fd);
  }
}

/**
 * The names in a directory; none if it cannot be read.
 *
 * @throws {DecodeError} If the kernel's list is malformed.
 */
export function readDirectory(libc: ReadCalls, path: string): string[] {
  return readNames(libc, path, () => true);
}

/** As {@linkcode readDirectory}, of the directories in it. */
export function readFolders(libc: ReadCalls, path: string): string[] {
  return readNames(libc, path, (type) => type === DT_DIR);
}

function readNames(libc: ReadCalls, path: string, wants: (type: number) => boolean): string[] {
  const block = fixedBytes(DIRECTORY_BYTES);
  const names: string[] = [];
  readBlocks(libc, encodeCString(path), block, (length) => {
    forEachName(block, length, (at, end, type) => {
      const name = decodeCString(block, at, end);
      if (name !== "." && name !== ".." && wants(type)) names.push(name);
    });
  });
  return names;
}

/** As {@linkcode readFile}, as text; undefined if it cannot be read. */
export function readTextFile(libc: ReadCalls, path: string): string | undefined {
  const bytes = readFile(libc, path);
  return typeof bytes === "number" ? undefined : decodeText(bytes);
}

/** The name of a process, or undefined if it has exited. */
export function readComm(libc: ReadCalls, pid: number): string | undefined {
  return readTextFile(libc, `/proc/${pid}/comm`)?.replace(/\n$/, "");
}

/** What a link is read into: a new buffer each time costs more than the call. */
let linkBytes: Uint8Array<ArrayBuffer> | undefined;

/** The target of a symbolic link, or undefined if it cannot be read. */
export function readLink(libc: ReadCalls, path: string): string | undefined {
  const into = linkBytes ??= fixedBytes(4096);
  const length = libc.readlink(encodeCString(path), into);
  return length < 0 ? undefined : decodeText(into, 0, length);
}

/** Whether a symbolic link can be read: `-errno` if not. */
export function linkResult(libc: ReadCalls, path: string): number {
  return libc.readlink(encodeCString(path), fixedBytes(1));
}

/**
 * The path of a file without links and dots; a relative one starts at the working directory. Undefined if there is no
 * such file, or this user may not see it.
 */
export function realPath(libc: ReadCalls, path: string): string | undefined {
  const fd = libc.open(encodeCString(path), O_PATH | O_CLOEXEC);
  if (fd < 0) return undefined;
  const real = readLink(libc, `/proc/self/fd/${fd}`);
  libc.close(fd);
  return real;
}
