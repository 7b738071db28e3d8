import type { Libc } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { check } from "../errors/syscall_error.ts";
import { bootOffsetNs, monotonicNs } from "../wire/clock.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/host.ts";
import { readLink } from "../wire/file.ts";
import { decodeText, encodeCString, encodeText } from "../wire/text.ts";

/**
 * Why a field of /proc could not be read: the process is `"gone"` (or, where /proc is mounted with `hidepid`, hidden),
 * or reading it is `"refused"` to this user, or the call `"failed"` for a reason that has nothing to do with the
 * process (out of descriptors or memory, a line that this version cannot read).
 */
export type Missing = "gone" | "refused" | "failed";

/** What one line of /proc/PID/stat tells. */
export interface ProcStat {
  readonly pid: number;
  /** The name of the main thread, up to 15 bytes; longer for some kernel threads. */
  readonly comm: string;
  /** One letter: R, S, D, T, t, I; Z and X where the main thread has ended. */
  readonly state: string;
  /** 0 where the parent is outside of this pid namespace. */
  readonly parentPid: number;
  readonly processGroup: number;
  readonly session: number;
  /** The device number of the controlling terminal as stat(2) has it; 0 without one. */
  readonly terminalDevice: number;
  readonly kernelThread: boolean;
  /** Threads, a main thread that has ended but was not waited for included. */
  readonly threadCount: number;
  /** When it started, in hundredths of a second of CLOCK_BOOTTIME, as this time namespace counts it. */
  readonly startTimeTicks: number;
  /**
   * Where the stack of the running program starts: another one after each exec, since the kernel draws it by lot, and
   * the same after a fork. 0 where it may not be known.
   */
  readonly stackStart: number;
}

/** A command line as /proc/PID/cmdline has it. */
export interface CommandLine {
  /** Empty for a kernel thread, for a process that has ended, and for a program that was started without any. */
  readonly args: readonly string[];
  /** Whether it was longer than could be read: the last argument may be cut. */
  readonly truncated: boolean;
  /** Whether there was anything to read, if only NULs: what has no memory (any more) has nothing. */
  readonly present: boolean;
}

/** The user ids of a process. */
export interface ProcUser {
  readonly uid: number;
  readonly effectiveUid: number;
}

/** How /proc is read. */
export interface ProcFsOptions {
  /** Bytes of a command line beyond which it is cut. Default 4096, at most 2097152. */
  readonly commandLineBytes?: number;
}

/** The largest command line that can be asked for: the kernel's own usual limit for arguments and environment. */
export const MAX_COMMAND_LINE_BYTES = 2 * 1024 * 1024;

const DEFAULT_COMMAND_LINE_BYTES = 4096;
const O_RDONLY_CLOEXEC = 0o2000000;
/** PF_KTHREAD in include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;
/** Byte offsets in `struct linux_dirent64`; SIZE is the shortest record: a name of one letter and its NUL. */
const DIRENT = { d_reclen: 16, d_name: 19, SIZE: 21 } as const;
/** What the audit numbers are before anybody has logged in: -1, unsigned. */
const NO_LOGIN = 0xffff_ffff;
/** Programs that write their title over their arguments fill up with NULs; more than these are not arguments. */
const MAX_TRAILING_EMPTY = 8;
/** A signal may come between, but not for ever. */
const MAX_INTERRUPTIONS = 16;

const PROC = encodeCString("/proc");
const PREFIX = encodeCString("/proc/").subarray(0, 6);
const STAT = encodeCString("/stat");
const COMM = encodeCString("/comm");
const STATUS = encodeCString("/status");
const CMDLINE = encodeCString("/cmdline");
const TASK = encodeCString("/task");
const EXE = encodeCString("/exe");
const CGROUP = encodeCString("/cgroup");
const CWD = encodeCString("/cwd");
const LOGIN_UID = encodeCString("/loginuid");
const SESSION_ID = encodeCString("/sessionid");

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

/**
 * Reads /proc by libc calls alone, since one of the runtimes refuses its own file functions every path there. All
 * buffers are made once; one field costs an open, a read and a close, or a single readlink.
 *
 * A method answers undefined where the field cannot be had, and {@linkcode missing} then says why.
 */
export class ProcFs {
  readonly #libc: Libc;
  readonly #path: Uint8Array<ArrayBuffer> = fixedBytes(64);
  readonly #text: Uint8Array<ArrayBuffer> = fixedBytes(16384);
  readonly #link: Uint8Array<ArrayBuffer> = fixedBytes(4096);
  readonly #commandLine: Uint8Array<ArrayBuffer>;
  #missing: Missing | undefined;

  /** @throws {RangeError} When `commandLineBytes` is no whole number from 1 to 2097152. */
  constructor(libc: Libc, options: ProcFsOptions = {}) {
    const limit = options.commandLineBytes ?? DEFAULT_COMMAND_LINE_BYTES;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_COMMAND_LINE_BYTES) {
      throw new RangeError(
        `Cannot read command lines of ${limit} bytes: 1 to ${MAX_COMMAND_LINE_BYTES} can be asked for`,
      );
    }
    this.#libc = libc;
    this.#commandLine = fixedBytes(limit + 1); // the last byte tells a cut command line from one that just fits
    this.#path.set(PREFIX);
  }

  /** Why the latest call answered undefined. */
  get missing(): Missing | undefined {
    return this.#missing;
  }

  /**
   * The processes that there are, in the order of /proc: by number.
   *
   * @throws {SyscallError} When /proc cannot be listed.
   * @throws {DecodeError} When the kernel's list is not one.
   */
  pids(): number[] {
    const action = "list the processes";
    const fd = check(this.#libc.open(PROC, O_RDONLY_CLOEXEC), action, "open", "is /proc mounted here?");
    try {
      const pids: number[] = [];
      const view = viewOf(this.#text);
      while (true) {
        const bytes = check(this.#libc.getdents64(fd, this.#text), action, "getdents64");
        if (bytes === 0) return pids;
        decodePids(view, this.#text, bytes, pids);
      }
    } finally {
      this.#libc.close(fd);
    }
  }

  /**
   * The threads of a process, the main one among them. Empty where they cannot be listed; one that ends meanwhile can
   * cut the list short.
   *
   * @throws {DecodeError} When the kernel's list is not one.
   */
  tids(pid: number): number[] {
    const tids: number[] = [];
    this.#setPath(pid, TASK);
    const fd = this.#libc.open(this.#path, O_RDONLY_CLOEXEC);
    if (fd < 0) return tids;
    try {
      const view = viewOf(this.#text);
      for (let bytes: number; (bytes = this.#libc.getdents64(fd, this.#text)) > 0;) {
        decodePids(view, this.#text, bytes, tids);
      }
    } finally {
      this.#libc.close(fd);
    }
    return tids;
  }

  /** The line of /proc/PID/stat, readable by everybody. */
  stat(pid: number): ProcStat | undefined {
    const length = this.#read(pid, STAT, this.#text);
    if (length === undefined) return undefined;
    const stat = parseStat(this.#text, length);
    if (stat === undefined) {
      this.#missing = length === 0 ? "gone" : "failed";
      return undefined;
    }
    // Some kernels write a newline as `\n` here and a backslash twice, others do not; comm is always plain.
    return stat.comm.includes("\\") ? { ...stat, comm: this.#comm(pid) ?? stat.comm } : stat;
  }

  /** The real and effective user ids, from /proc/PID/status. */
  user(pid: number): ProcUser | undefined {
    const length = this.#read(pid, STATUS, this.#text);
    if (length === undefined) return undefined;
    const user = parseUser(this.#text, length);
    if (user === undefined) this.#missing = length === 0 ? "gone" : "failed";
    return user;
  }

  /** The process that a thread belongs to: /proc has threads too, and does not list them. */
  processOf(tid: number): number | undefined {
    const length = this.#read(tid, STATUS, this.#text);
    if (length === undefined) return undefined;
    const pid = parseProcessOf(this.#text, length);
    if (pid === undefined) this.#missing = length === 0 ? "gone" : "failed";
    return pid;
  }

  /**
   * The arguments, readable by everybody; empty where the process has no memory (any more).
   *
   * @param fresh Whether it has just become this program, and cannot have written over its arguments yet.
   */
  commandLine(pid: number, fresh: boolean): CommandLine | undefined {
    const length = this.#read(pid, CMDLINE, this.#commandLine);
    return length === undefined ? undefined : parseCommandLine(this.#commandLine, length, fresh);
  }

  /**
   * The program's file, as the kernel shows it: ` (deleted)` is added where it is not there any more. Kernel threads
   * have none (`"gone"`), and those of other users are `"refused"`.
   */
  exe(pid: number): string | undefined {
    return this.#readLink(pid, EXE);
  }

  /** The working directory. That of other users' processes is `"refused"`. */
  cwd(pid: number): string | undefined {
    return this.#readLink(pid, CWD);
  }

  /** The user that logged in, of audit; null where nobody has. Undefined also where the kernel has no audit. */
  loginUid(pid: number): number | null | undefined {
    return this.#readNumber(pid, LOGIN_UID);
  }

  /** The audit session, as {@linkcode loginUid}. */
  sessionId(pid: number): number | null | undefined {
    return this.#readNumber(pid, SESSION_ID);
  }

  #readNumber(pid: number, name: Uint8Array): number | null | undefined {
    const length = this.#read(pid, name, this.#text);
    if (length === undefined) return undefined;
    let end = 0;
    while (end < length && isDigit(this.#text[end]!)) end++;
    if (end === 0) {
      this.#missing = length === 0 ? "gone" : "failed";
      return undefined;
    }
    const value = digits(this.#text, 0, end);
    return value === NO_LOGIN ? null : value;
  }

  #readLink(pid: number, name: Uint8Array): string | undefined {
    if (pid === 0) return this.#fail(-ERRNO["ESRCH"]!);
    this.#setPath(pid, name);
    const length = this.#libc.readlink(this.#path, this.#link);
    if (length < 0) return this.#fail(length);
    // A full buffer may hold half a path.
    if (length >= this.#link.length) return this.#fail(-ERRNO["ENAMETOOLONG"]!);
    this.#missing = undefined;
    return decodeText(this.#link, 0, length);
  }

  /** The name of a terminal by its device number: `pts/3`, `tty1`; `MAJOR:MINOR` where the system does not tell. */
  terminal(device: number): string {
    const major = (device >>> 8) & 0xfff;
    const minor = (device & 0xff) | ((device >>> 12) & 0xf_ff00);
    // The first ones of /dev/pts are all on one major number; there are eight of them.
    if (major >= 136 && major < 144) return `pts/${(major - 136) * 256 + minor}`;
    const link = readLink(this.#libc, `/sys/dev/char/${major}:${minor}`);
    return link === undefined ? `${major}:${minor}` : link.slice(link.lastIndexOf("/") + 1);
  }

  /** The path in the unified hierarchy (cgroup v2): `/` and more. */
  cgroup(pid: number): string | undefined {
    const length = this.#read(pid, CGROUP, this.#text);
    if (length === undefined) return undefined;
    const cgroup = parseCgroup(this.#text, length);
    if (cgroup === undefined) this.#missing = length === 0 ? "gone" : "failed";
    return cgroup;
  }

  /** Now, by the clock of the events. */
  monotonicNs(): bigint {
    return monotonicNs(this.#libc);
  }

  /** How far the clock of {@linkcode ProcStat.startTimeTicks} is ahead of it. */
  bootOffsetNs(): bigint {
    return bootOffsetNs(this.#libc);
  }

  #comm(pid: number): string | undefined {
    const length = this.#read(pid, COMM, this.#text);
    const plain = length === undefined || length === 0 ? undefined : decodeText(this.#text, 0, length - 1);
    this.#missing = undefined;
    return plain;
  }

  /** Reads the start of a file of `pid`: all of it but where it is longer than `into`. */
  #read(pid: number, name: Uint8Array, into: Uint8Array): number | undefined {
    // Process 0 is nobody, and /proc//stat is the machine's.
    if (pid === 0) return this.#fail(-ERRNO["ESRCH"]!);
    this.#setPath(pid, name);
    const fd = this.#libc.open(this.#path, O_RDONLY_CLOEXEC);
    if (fd < 0) return this.#fail(fd);
    let length = this.#libc.read(fd, into);
    for (let tries = 0; length === -ERRNO["EINTR"]! && tries < MAX_INTERRUPTIONS; tries++) {
      length = this.#libc.read(fd, into);
    }
    this.#libc.close(fd);
    if (length < 0) return this.#fail(length);
    this.#missing = undefined;
    return length;
  }

  #setPath(pid: number, name: Uint8Array): void {
    const path = this.#path;
    let end = PREFIX.length;
    for (let rest = pid; rest > 0; rest = Math.floor(rest / 10)) end++;
    let at = end;
    for (let rest = pid; rest > 0; rest = Math.floor(rest / 10)) path[--at] = ZERO + rest % 10;
    path.set(name, end);
  }

  #fail(result: number): undefined {
    const errno = -result;
    if (errno === ERRNO["ENOENT"] || errno === ERRNO["ESRCH"]) this.#missing = "gone";
    else if (errno === ERRNO["EACCES"] || errno === ERRNO["EPERM"]) this.#missing = "refused";
    else this.#missing = "failed";
    return undefined;
  }
}

/** A main thread that has ended and no other: what is left waits for its parent. */
export function hasEnded(stat: ProcStat): boolean {
  return (stat.state === "Z" || stat.state === "X") && stat.threadCount <= 1;
}

/**
 * Adds the pids of a block of `struct linux_dirent64` to `pids`; other names are passed over.
 *
 * @throws {DecodeError} When a record does not fit into the block.
 */
export function decodePids(view: DataView, bytes: Uint8Array, length: number, pids: number[]): void {
  for (let at = 0; at < length;) {
    if (length - at < DIRENT.SIZE) throw new DecodeError("linux_dirent64", DIRENT.SIZE, length - at);
    const size = view.getUint16(at + DIRENT.d_reclen, LITTLE);
    if (size < DIRENT.SIZE || size > length - at) {
      throw new DecodeError("linux_dirent64", Math.max(size, DIRENT.SIZE), length - at);
    }
    let i = at + DIRENT.d_name;
    const end = at + size;
    let pid = 0;
    while (i < end && isDigit(bytes[i]!)) pid = pid * 10 + bytes[i++]! - ZERO;
    if (pid > 0 && i < end && bytes[i] === 0) pids.push(pid);
    at = end;
  }
}

/** Reads the line of /proc/PID/stat; undefined where it is not whole. The name is as the kernel wrote it. */
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
    startTimeTicks: values[18]!,
    stackStart: values[24]!,
  };
}

/** Finds the line `Uid:` of /proc/PID/status. */
export function parseUser(bytes: Uint8Array, length: number): ProcUser | undefined {
  const [uid, effectiveUid] = statusNumbers(bytes, length, UID_LINE, 2);
  return uid === undefined || effectiveUid === undefined ? undefined : { uid, effectiveUid };
}

/** Finds the line `Tgid:` of /proc/PID/status. */
export function parseProcessOf(bytes: Uint8Array, length: number): number | undefined {
  return statusNumbers(bytes, length, TGID_LINE, 1)[0];
}

/** The first numbers of a line of /proc/PID/status. The name above cannot forge one: its newlines are escaped. */
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

function digits(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = at; i < end; i++) value = value * 10 + bytes[i]! - ZERO;
  return value;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
