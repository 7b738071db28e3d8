import { DecodeError } from "../errors/decode_error.ts";
import { LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeText, encodeText } from "../wire/text.ts";

/** The fields of /proc/PID/stat. */
export interface ProcStat {
  readonly pid: number;
  /** The name of the main thread, up to 15 bytes; longer for some kernel threads. */
  readonly comm: string;
  /** One letter: R, S, D, T, t, I; Z and X if the main thread has ended. */
  readonly state: string;
  /** 0 if the parent is outside this pid namespace. */
  readonly parentPid: number;
  readonly processGroup: number;
  readonly session: number;
  /** The device number of the controlling terminal as stat(2) has it; 0 without one. */
  readonly terminalDevice: number;
  readonly kernelThread: boolean;
  /** The number of threads, including a main thread that has ended and was not reaped. */
  readonly threadCount: number;
  /** Processor time of all its threads, also of those that have ended, in hundredths of a second. */
  readonly cpuTicks: number;
  /** When it started, in hundredths of a second of CLOCK_BOOTTIME, as this time namespace counts it. */
  readonly startTimeTicks: number;
  /**
   * Where the stack of the running program starts: different after each exec (the kernel randomizes it), and
   * the same after a fork. 0 if this user may not know it.
   */
  readonly stackStart: number;
  /** Whether it is becoming another program just now: it has the memory of the new one, but no stack yet. */
  readonly inExec: boolean;
}

/** A command line as /proc/PID/cmdline has it. */
export interface CommandLine {
  /** Empty for a kernel thread, for a process that has ended, and for a program that was started without any. */
  readonly args: readonly string[];
  /** Whether it was longer than could be read: the last argument may be cut. */
  readonly truncated: boolean;
  /** Whether there was anything to read, if only NULs. A process without memory (any more) has nothing. */
  readonly present: boolean;
}

/** The user ids of a process. */
export interface ProcUser {
  readonly uid: number;
  readonly effectiveUid: number;
}

/** PF_KTHREAD in include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
/** PF_EXITING: it has no memory any more. */
const PF_EXITING = 0x4;
/** Byte offsets in `struct linux_dirent64`; SIZE is the shortest record: a name of one letter and its NUL. */
const DIRENT = { d_reclen: 16, d_type: 18, d_name: 19, SIZE: 21 } as const;
/** Programs that write their title over their arguments fill up with NULs; more than these are not arguments. */
const MAX_TRAILING_EMPTY = 8;
const UID_LINE = encodeText("Uid:\t");
const TGID_LINE = encodeText("Tgid:\t");
const NEWLINE = 10;
const SPACE = 32;
const TAB = 9;
const CLOSING = 41;
const COLON = 58;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;

/** Whether all threads have ended and only a zombie is left. */
export function hasEnded(stat: ProcStat): boolean {
  return (stat.state === "Z" || stat.state === "X") && stat.threadCount <= 1;
}

/**
 * Calls `onName` for each record of a block of `struct linux_dirent64`, with where its name begins, where the record
 * ends (the name ends with a NUL before that), and its `d_type`.
 *
 * @throws {DecodeError} When a record does not fit into the block.
 */
export function forEachName(
  bytes: Uint8Array,
  length: number,
  onName: (at: number, end: number, type: number) => void,
): void {
  const view = viewOf(bytes);
  for (let at = 0; at < length;) {
    if (length - at < DIRENT.SIZE) throw new DecodeError("linux_dirent64", DIRENT.SIZE, length - at);
    const size = view.getUint16(at + DIRENT.d_reclen, LITTLE);
    if (size < DIRENT.SIZE || size > length - at) {
      throw new DecodeError("linux_dirent64", Math.max(size, DIRENT.SIZE), length - at);
    }
    onName(at + DIRENT.d_name, at + size, view.getUint8(at + DIRENT.d_type));
    at += size;
  }
}

/**
 * Adds the pids of a block of `struct linux_dirent64` to `pids`; other names are skipped.
 *
 * @throws {DecodeError} When a record does not fit into the block.
 */
export function decodePids(bytes: Uint8Array, length: number, pids: number[]): void {
  forEachName(bytes, length, (at, end) => {
    let pid = 0;
    while (at < end && isDigit(bytes[at]!)) pid = pid * 10 + bytes[at++]! - ZERO;
    if (pid > 0 && at < end && bytes[at] === 0) pids.push(pid);
  });
}

/** Parses /proc/PID/stat; undefined if the line is incomplete. The name is as the kernel wrote it. */
export function parseStat(bytes: Uint8Array, length: number): ProcStat | undefined {
  // The name may hold spaces and parentheses: it reaches to the last closing one.
  let open = 0;
  while (open < length && isDigit(bytes[open]!)) open++;
  let close = length - 1;
  while (close > open && bytes[close] !== CLOSING) close--;
  const commAt = open + 2;
  if (open === 0 || close < commAt) return undefined;
  const pid = digits(bytes, 0, open);
  // Fields by their number in proc(5): the state is 3, each begins after one space.
  const values: number[] = [];
  let at = close + 4;
  for (let field = 4; field <= 28; field++) {
    const negative = bytes[at] === MINUS; // of those that are wanted only a terminal's number, which is unsigned
    if (negative) at++;
    const from = at;
    while (at < length && isDigit(bytes[at]!)) at++;
    // The byte after a number shows that it is whole.
    if (at === from || at >= length || (bytes[at] !== SPACE && bytes[at] !== NEWLINE)) return undefined;
    values.push(negative ? -digits(bytes, from, at) : digits(bytes, from, at));
    at++;
  }
  return {
    pid,
    comm: decodeText(bytes, commAt, close),
    state: String.fromCharCode(bytes[close + 2]!),
    parentPid: values[0]!,
    processGroup: values[1]!,
    session: values[2]!,
    terminalDevice: values[3]! >>> 0,
    kernelThread: (values[5]! & PF_KTHREAD) !== 0,
    threadCount: values[16]!,
    cpuTicks: values[10]! + values[11]!,
    startTimeTicks: values[18]!,
    stackStart: values[24]!,
    // Who may not know addresses gets 1 as the code's, and 0 as the stack's.
    inExec: values[24] === 0 && values[22] === 0 && (values[5]! & (PF_KTHREAD | PF_EXITING)) === 0,
  };
}

/**
 * The wait status in /proc/PID/stat, its last field since Linux 3.5: 0 where this user may not know it, and NaN where the
 * line is not whole.
 */
export function parseExitCode(bytes: Uint8Array, length: number): number {
  const end = length > 0 && bytes[length - 1] === NEWLINE ? length - 1 : length;
  let at = end;
  while (at > 0 && isDigit(bytes[at - 1]!)) at--;
  return end === length || at === end ? NaN : digits(bytes, at, end);
}

/** Finds the line `Uid:` of /proc/PID/status. */
export function parseUser(bytes: Uint8Array, length: number): ProcUser | undefined {
  const [uid, effectiveUid] = statusNumbers(bytes, length, UID_LINE, 2);
  return uid === undefined || effectiveUid === undefined ? undefined : { uid, effectiveUid };
}

/** Finds the line `Tgid:` of /proc/PID/status. It is 0 once the thread has been reaped. */
export function parseProcessOf(bytes: Uint8Array, length: number): number | undefined {
  return statusNumbers(bytes, length, TGID_LINE, 1)[0];
}

/** The first numbers in a line of /proc/PID/status. The name cannot forge such a line: its newlines are escaped. */
function statusNumbers(bytes: Uint8Array, length: number, start: Uint8Array, count: number): number[] {
  const numbers: number[] = [];
  for (let line = 0; line >= 0; line = lineAfter(bytes, line, length)) {
    if (length - line < start.length || !start.every((byte, i) => bytes[line + i] === byte)) continue;
    let at = line + start.length;
    while (numbers.length < count) {
      const from = at;
      while (at < length && isDigit(bytes[at]!)) at++;
      // The byte after a number shows that it is whole.
      if (at === from || at >= length || (bytes[at] !== TAB && bytes[at] !== NEWLINE)) break;
      numbers.push(digits(bytes, from, at++));
    }
    break;
  }
  return numbers;
}

/**
 * Splits /proc/PID/cmdline at its NULs. `bytes` is one byte longer than what may be kept, and full when there was more.
 *
 * The last NUL may be missing where the program has written over its arguments. What such a program left of the old
 * ones are NULs, and no arguments: all behind a single argument (a title has no NUL in it), unless the program is too
 * `fresh` for that, and more than 8 in any case. The kernel gives a program without arguments an empty one (from 5.18
 * on), which is none either.
 */
export function parseCommandLine(bytes: Uint8Array, length: number, fresh: boolean): CommandLine {
  const truncated = length >= bytes.length;
  let end = truncated ? bytes.length - 1 : length;
  let last = end;
  while (last > 0 && bytes[last - 1] === 0) last--;
  const single = bytes.indexOf(0) >= last; // one argument, or none, and NULs behind it
  if (end - last > MAX_TRAILING_EMPTY + 1 || (single && !fresh) || (last === 0 && end === 1)) end = last;
  const args: string[] = [];
  let at = 0;
  while (at < end) {
    let stop = at;
    while (stop < end && bytes[stop] !== 0) stop++;
    args.push(decodeText(bytes, at, stop));
    at = stop + 1;
  }
  return { args, truncated, present: length > 0 };
}

/** The path in the line `0::PATH` of /proc/PID/cgroup; a path cannot hold a newline. */
export function parseCgroup(bytes: Uint8Array, length: number): string | undefined {
  for (let at = 0; at >= 0 && at + 3 < length; at = lineAfter(bytes, at, length)) {
    if (bytes[at] !== ZERO || bytes[at + 1] !== COLON || bytes[at + 2] !== COLON) continue;
    const end = bytes.indexOf(NEWLINE, at);
    return end < 0 || end >= length ? undefined : decodeText(bytes, at + 3, end);
  }
  return undefined;
}

/** The start of the next line, or -1. */
function lineAfter(bytes: Uint8Array, at: number, length: number): number {
  const end = bytes.indexOf(NEWLINE, at);
  return end < 0 || end >= length ? -1 : end + 1;
}

/** The number that these digits are. */
export function digits(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = at; i < end; i++) value = value * 10 + bytes[i]! - ZERO;
  return value;
}

/** Whether a byte is one. */
export function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
