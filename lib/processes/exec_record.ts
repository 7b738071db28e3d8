import { LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeCString, decodeText } from "../wire/text.ts";
import type { CommandLine } from "../procfs/text.ts";

/** What the kernel recorded at the moment of an exec. */
export interface ExecRecord {
  readonly pid: number;
  /** The real ids. */
  readonly uid: number;
  readonly gid: number;
  /** CLOCK_MONOTONIC, some microseconds before the time of the exec's event. */
  readonly timestampNs: bigint;
  /** The name of the process, up to 15 bytes. */
  readonly comm: string;
  /** As `ProcStat.stackStart`. */
  readonly stackStart: number;
  /** The path as it was given to execve: of a script, not of its interpreter. Undefined where it was too long. */
  readonly path: string | undefined;
  /** Whether `path` is a script or the like, and another program runs it. */
  readonly interpreted: boolean;
  /** Whether an absolute path leads the process to the same file as us, as far as is known. */
  readonly sharesRoot: boolean;
  /** The bytes of the arguments, as many as were recorded; undefined where the kernel could not read them. */
  readonly argumentBytes: Uint8Array | undefined;
  /** Bytes of all the arguments with their NULs. */
  readonly argumentLength: number;
}

/** Offsets in a record: our own structure, which the program in the kernel fills. */
export const EXEC_RECORD = {
  pidTgid: 0,
  timestampNs: 8,
  uidGid: 16,
  argBytes: 24,
  stackStart: 32,
  /** `linux_binprm.filename - linux_binprm.interp`: 0 where they are one text. */
  interpreted: 40,
  argError: 48,
  cpu: 52,
  seq: 56,
  pathBytes: 60,
  comm: 64,
  /** The root directory: the kernel's addresses of its mount and of the directory itself. */
  root: 80,
  /** The path, `pathBytes` of it with its NUL; the arguments follow. */
  text: 96,
  SIZE: 96,
} as const;
/** Bytes of a root directory. */
export const RECORD_ROOT_BYTES: number = EXEC_RECORD.text - EXEC_RECORD.root;
/** Bytes of a name, its NUL included (TASK_COMM_LEN). */
export const RECORD_COMM_BYTES: number = EXEC_RECORD.root - EXEC_RECORD.comm;
/** Bytes of a path that a record has room for, its NUL included. */
export const RECORD_PATH_BYTES = 512;
/** Bytes of arguments that a record has room for. */
export const RECORD_ARG_BYTES = 4096;
/** Bytes of the longest record. */
export const MAX_RECORD_BYTES: number = EXEC_RECORD.SIZE + RECORD_PATH_BYTES + RECORD_ARG_BYTES;

/**
 * Decodes a record; nothing in it is trusted. Undefined for one that cannot be what the program wrote.
 *
 * @param at Where it begins in `bytes`, and
 * @param length its length.
 * @param view of `bytes`.
 * @param ownRoot Our own root directory as a record has it, if it is known.
 * @param hasText Whether the path and the arguments are wanted: to copy them costs more than all else.
 */
export function decodeExecRecord(
  bytes: Uint8Array,
  at: number = 0,
  length: number = bytes.length - at,
  view: DataView = viewOf(bytes),
  ownRoot?: DataView,
  hasText: boolean = true,
): ExecRecord | undefined {
  const R = EXEC_RECORD;
  if (length < R.SIZE || at + length > bytes.length) return undefined;
  const pid = view.getUint32(at + R.pidTgid + (LITTLE ? 4 : 0), LITTLE);
  if (pid === 0 || pid >= 2 ** 31) return undefined;
  const argumentLength = getUint64(view, at + R.argBytes);
  const pathBytes = view.getUint32(at + R.pathBytes, LITTLE);
  const argumentsAt = at + R.text + pathBytes;
  const argumentsEnd = argumentsAt + Math.min(argumentLength, RECORD_ARG_BYTES);
  if (argumentsEnd > at + length) return undefined;
  const readable = hasText && view.getInt32(at + R.argError, LITTLE) === 0;
  return {
    pid,
    uid: view.getUint32(at + R.uidGid + (LITTLE ? 0 : 4), LITTLE),
    gid: view.getUint32(at + R.uidGid + (LITTLE ? 4 : 0), LITTLE),
    timestampNs: view.getBigUint64(at + R.timestampNs, LITTLE),
    comm: decodeCString(bytes, at + R.comm, at + R.comm + RECORD_COMM_BYTES - 1),
    stackStart: getUint64(view, at + R.stackStart),
    // A path of the full length may be half of one.
    path: hasText && pathBytes > 1 && pathBytes < RECORD_PATH_BYTES
      ? decodeText(bytes, at + R.text, argumentsAt - 1)
      : undefined,
    interpreted: getUint64(view, at + R.interpreted) !== 0,
    sharesRoot: ownRoot !== undefined && isSame(view, at + R.root, ownRoot),
    argumentBytes: readable ? bytes.slice(argumentsAt, argumentsEnd) : undefined,
    argumentLength: readable ? argumentLength : 0,
  };
}

/** Whether the bytes at a place are the expected ones, in words of 32 bits. */
function isSame(view: DataView, at: number, expected: DataView): boolean {
  for (let i = 0; i < expected.byteLength; i += 4) {
    if (view.getUint32(at + i, LITTLE) !== expected.getUint32(i, LITTLE)) return false;
  }
  return true;
}

/** A number of 64 bits, without a bigint. */
function getUint64(view: DataView, at: number): number {
  const [low, high] = LITTLE ? [at, at + 4] : [at + 4, at];
  return view.getUint32(high, LITTLE) * 2 ** 32 + view.getUint32(low, LITTLE);
}

/**
 * The arguments in a record, cut at `limitBytes`; undefined where the kernel could not read them.
 *
 * A program that was started without any has an empty one from the kernel (5.18 and newer), which is none.
 */
export function argumentsOf(record: ExecRecord, limitBytes: number): CommandLine | undefined {
  const { argumentBytes: bytes, argumentLength } = record;
  if (bytes === undefined) return undefined;
  const end = Math.min(bytes.length, limitBytes);
  const truncated = argumentLength > end;
  const args: string[] = [];
  if (argumentLength === 1 && bytes[0] === 0) return { args, truncated: false, present: true };
  for (let at = 0; at < end;) {
    const nul = bytes.indexOf(0, at);
    const stop = nul < 0 || nul > end ? end : nul;
    args.push(decodeText(bytes, at, stop));
    at = stop + 1;
  }
  return { args, truncated, present: true };
}

/** Paths that lead every process elsewhere: /proc/self/exe, /dev/fd/3. */
const OWN_PATHS = /^\/+(proc|dev)\//;

/**
 * The file that runs, as far as the path given to execve says: an absolute path, of which links are not resolved.
 * Undefined for a script, which its interpreter runs, for a file that was given as a descriptor, for a path that means
 * something else to others, and where the process has, or may have, another root directory than we.
 */
export function exeOf({ path, interpreted, sharesRoot }: ExecRecord): string | undefined {
  return sharesRoot && path?.startsWith("/") && !interpreted && !OWN_PATHS.test(path) ? path : undefined;
}
