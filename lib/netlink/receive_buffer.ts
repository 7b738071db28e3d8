import type { ReadCalls } from "../../ffi/libc.ts";
import { readTextFile } from "../procfs/file.ts";

/** Of the memory that is available, a receive buffer may take this part. */
const SHARE = 1 / 8;

/**
 * The receive buffer to ask for: never more than an eighth of the available memory, since what fills it is charged to
 * nobody and can bring the out-of-memory killer on others.
 *
 * @param action completes "Cannot …" in the error.
 * @throws {RangeError} When `bytes` is no size that the kernel could take.
 */
export function clampReceiveBuffer(libc: ReadCalls, bytes: number, action: string): number {
  if (!(Number.isInteger(bytes) && bytes >= 1 && bytes < 2 ** 30)) {
    throw new RangeError(`Cannot ${action}: receiveBufferBytes must be 1 to 2^30 - 1, and is ${bytes}`);
  }
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readTextFile(libc, "/proc/meminfo") ?? "")?.[1];
  return available === undefined ? bytes : Math.min(bytes, Math.floor(Number(available) * 1024 * SHARE));
}
