import type { Libc } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { bootOffsetNs, monotonicNs } from "./clock.ts";
import { fixedBytes } from "../wire/bytes.ts";
import { readBlocks, readLink, readStart, realPath } from "./file.ts";
import { decodeText, encodeCString } from "../wire/text.ts";
import {
  type CommandLine,
  decodePids,
  digits,
  isDigit,
  parseCgroup,
  parseCommandLine,
  parseProcessOf,
  parseStat,
  parseUser,
  type ProcStat,
  type ProcUser,
} from "./text.ts";

/**
 * Why a field of /proc could not be read: the process is `"gone"` (or, where /proc is mounted with `hidepid`, hidden),
 * or reading it is `"refused"` to this user, or the call `"failed"` for a reason that has nothing to do with the
 * process (out of descriptors or memory, a line that this version cannot read).
 */
export type ReadFailure = "gone" | "refused" | "failed";

/** How /proc is read. */
export interface ProcFsOptions {
  /** Bytes of a command line beyond which it is cut. Default 4096, at most 2097152. */
  readonly commandLineBytes?: number;
}

/** The largest limit: the kernel's usual limit for arguments and environment. */
export const MAX_COMMAND_LINE_BYTES = 2 * 1024 * 1024;

/** The default of `commandLineBytes`. */
export const DEFAULT_COMMAND_LINE_BYTES = 4096;
/** The audit ids before a login: -1, unsigned. */
const NO_LOGIN = 0xffff_ffff;

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

const ZERO = 48;

/**
 * Reads /proc through libc, because Deno's own file functions refuse every path there. Buffers are allocated once. A
 * field costs an open, a read and a close, or one readlink.
 *
 * A method returns undefined if the field cannot be read; {@linkcode missing} then has the reason.
 */
export class ProcFs {
  readonly #libc: Libc;
  readonly #path: Uint8Array<ArrayBuffer> = fixedBytes(64);
  readonly #text: Uint8Array<ArrayBuffer> = fixedBytes(16384);
  readonly #link: Uint8Array<ArrayBuffer> = fixedBytes(4096);
  readonly #commandLine: Uint8Array<ArrayBuffer>;
  #missing: ReadFailure | undefined;

  /** @throws {RangeError} When `commandLineBytes` is no whole number from 1 to 2097152. */
  constructor(libc: Libc, options: ProcFsOptions = {}) {
    const limit = options.commandLineBytes ?? DEFAULT_COMMAND_LINE_BYTES;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_COMMAND_LINE_BYTES) {
      throw new RangeError(
        `Cannot read command lines of ${limit} bytes: 1 to ${MAX_COMMAND_LINE_BYTES} can be asked for`,
      );
    }
    this.#libc = libc;
    this.#commandLine = fixedBytes(limit + 1); // one byte more shows whether it was cut
    this.#path.set(PREFIX);
  }

  /** Why the latest call returned undefined. */
  get missing(): ReadFailure | undefined {
    return this.#missing;
  }

  /**
   * All processes, in the order of /proc: by pid.
   *
   * @throws {SyscallError} If /proc cannot be listed.
   * @throws {DecodeError} If the kernel's list is malformed.
   */
  pids(): number[] {
    const pids: number[] = [];
    const failure = this.#list(PROC, pids);
    if (failure !== undefined) {
      const advice = failure.call === "open" ? "is /proc mounted here?" : undefined;
      throw new SyscallError("list the processes", failure.call, -failure.result, advice);
    }
    return pids;
  }

  /**
   * The threads of a process, including the main one. Empty if they cannot be listed. A thread that ends meanwhile can
   * cut the list short.
   *
   * @throws {DecodeError} If the kernel's list is malformed.
   */
  tids(pid: number): number[] {
    const tids: number[] = [];
    this.#setPath(pid, TASK);
    this.#list(this.#path, tids);
    return tids;
  }

  #list(path: Uint8Array, pids: number[]): ReturnType<typeof readBlocks> {
    return readBlocks(this.#libc, path, this.#text, (length) => decodePids(this.#text, length, pids));
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
    if (pid !== undefined && pid > 0) return pid;
    this.#missing = length === 0 || pid === 0 ? "gone" : "failed";
    return undefined;
  }

  /**
   * The arguments, readable by everybody; empty if the process has no memory (any more).
   *
   * @param fresh Whether it has just executed this program, and cannot have overwritten its arguments yet.
   */
  commandLine(pid: number, fresh: boolean): CommandLine | undefined {
    const length = this.#read(pid, CMDLINE, this.#commandLine);
    return length === undefined ? undefined : parseCommandLine(this.#commandLine, length, fresh);
  }

  /**
   * The program's file. The kernel adds ` (deleted)` if the file no longer exists. Kernel threads have none (`"gone"`),
   * and those of other users are `"refused"`.
   */
  exe(pid: number): string | undefined {
    return this.#readLink(pid, EXE);
  }

  /** Resolves the links in a path; undefined if there is no such file. */
  realPath(path: string): string | undefined {
    return realPath(this.#libc, path);
  }

  /** The working directory. That of other users' processes is `"refused"`. */
  cwd(pid: number): string | undefined {
    return this.#readLink(pid, CWD);
  }

  /** The login user of audit; null if nobody has logged in. Undefined also if the kernel has no audit. */
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

  /** The name of a terminal by its device number: `pts/3`, `tty1`; `MAJOR:MINOR` if unknown. */
  terminal(device: number): string {
    const major = (device >>> 8) & 0xfff;
    const minor = (device & 0xff) | ((device >>> 12) & 0xf_ff00);
    // /dev/pts has eight major numbers.
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

  /** Reads a file of `pid`, cut at the length of `into`. */
  #read(pid: number, name: Uint8Array, into: Uint8Array): number | undefined {
    // There is no process 0, and /proc//stat is the whole system's.
    if (pid === 0) return this.#fail(-ERRNO["ESRCH"]!);
    this.#setPath(pid, name);
    const length = readStart(this.#libc, this.#path, into);
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
