import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { decodeText, encodeCString } from "../wire/text.ts";
import { fixedBytes } from "../wire/bytes.ts";

const O_RDONLY_CLOEXEC = 0o2000000;
const O_PATH_CLOEXEC = 0o12000000;
const CHUNK_BYTES = 16384;
/** A signal may come between, but not for ever. */
const MAX_INTERRUPTIONS = 16;

/**
 * Reads a whole small file through libc: one runtime refuses /proc to its own file functions whatever was granted.
 *
 * @returns The bytes, cut at `limitBytes`, or `-errno`.
 */
export function readFile(libc: Libc, path: string, limitBytes: number = 1 << 20): Uint8Array | number {
  const fd = libc.open(encodeCString(path), O_RDONLY_CLOEXEC);
  if (fd < 0) return fd;
  let bytes = fixedBytes(CHUNK_BYTES);
  let length = 0;
  let got = 0;
  let interruptions = 0;
  // A file under /proc may give less than was asked for and still go on: only 0 is its end.
  while (length < limitBytes && (got = libc.read(fd, bytes.subarray(length))) !== 0) {
    if (got === -ERRNO.EINTR! && interruptions++ < MAX_INTERRUPTIONS) continue;
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

/** As {@linkcode readFile}, as text; undefined where it cannot be read. */
export function readTextFile(libc: Libc, path: string): string | undefined {
  const bytes = readFile(libc, path);
  return typeof bytes === "number" ? undefined : decodeText(bytes);
}

/** What a symbolic link holds, or undefined where it cannot be read. */
export function readLink(libc: Libc, path: string): string | undefined {
  const into = fixedBytes(4096);
  const length = libc.readlink(encodeCString(path), into);
  return length < 0 ? undefined : decodeText(into, 0, length);
}

/**
 * The path of a file without links and dots, as the kernel shows it; a relative one from the working directory. Undefined
 * where there is no such file, or this user may not look.
 */
export function realPath(libc: Libc, path: string): string | undefined {
  const fd = libc.open(encodeCString(path), O_PATH_CLOEXEC);
  if (fd < 0) return undefined;
  const real = readLink(libc, `/proc/self/fd/${fd}`);
  libc.close(fd);
  return real;
}
