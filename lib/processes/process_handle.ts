import type { Libc, Poller, System } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { linkResult, readFile, readTextFile } from "../procfs/file.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeText } from "../wire/text.ts";
import type { ReadFailure } from "../procfs/process.ts";

/** poll(2). */
const POLLIN = 1;
const POLLFD = { fd: 0, events: 4, revents: 6, SIZE: 8 } as const;
const TIMESPEC_SIZE = 16;

/** waitid(2). */
const P_PIDFD = 3;
const WNOHANG_WEXITED_WNOWAIT = 0x0100_0005;
const CLD_EXITED = 1;
const CLD_DUMPED = 3;
/** Byte offsets in `siginfo_t`, as SIGCHLD and waitid(2) fill it. */
const SIGINFO = { si_signo: 0, si_code: 8, si_status: 24, SIZE: 128 } as const;

/** PIDFD_GET_INFO of include/uapi/linux/pidfd.h, with the first version of its structure. */
const PIDFD_GET_INFO = 0xc040_ff0b;
const PIDFD_INFO_EXIT = 8;
/** Byte offsets in `struct pidfd_info`. */
const PIDFD_INFO = { mask: 0, exit_code: 60, SIZE: 64 } as const;

/** The number of a field of /proc/PID/stat in proc(5). */
const STATE = 3;
const NUM_THREADS = 20;
const STARTTIME = 22;
const EXIT_CODE = 52;

/** What can be known of a process's end now: the wait status, that there is none yet, or why it cannot be known. */
export type EndStatus = number | "running" | ReadFailure;

/** What it takes to hold on to a process. */
export type HandleMachine = Pick<System, "libc" | "poller">;

/**
 * A process that somebody holds on to, whatever becomes of its number: by a pidfd where the kernel has them (5.3), else
 * by its number and its start.
 */
export class ProcessHandle {
  readonly #libc: Libc;
  readonly #poller: Poller;
  readonly #pid: number;
  #fd: number;
  #waits = false;

  private constructor({ libc, poller }: HandleMachine, pid: number, fd: number) {
    this.#libc = libc;
    this.#poller = poller;
    this.#pid = pid;
    this.#fd = fd;
  }

  /** Takes hold of a process; undefined where there is none with this number. */
  static open(system: HandleMachine, pid: number): ProcessHandle | undefined {
    const fd = system.libc.pidfd_open(pid);
    if (fd === -ERRNO["ESRCH"]!) return undefined;
    // Without a descriptor (an old kernel, a sandbox, none left) /proc has to do.
    return new ProcessHandle(system, pid, fd);
  }

  /** Whether it, with all its threads, has ended; undefined where only /proc can tell. */
  hasEnded(): boolean | undefined {
    if (this.#fd < 0) return undefined;
    const poll = fixedBytes(POLLFD.SIZE);
    const view = viewOf(poll);
    view.setInt32(POLLFD.fd, this.#fd, LITTLE);
    view.setInt16(POLLFD.events, POLLIN, LITTLE);
    const ready = this.#libc.ppoll(poll, fixedBytes(TIMESPEC_SIZE));
    return ready < 0 ? undefined : (view.getInt16(POLLFD.revents, LITTLE) & POLLIN) !== 0;
  }

  /** Calls `onEnd` once it has ended, and never where {@linkcode hasEnded} does not know. */
  whenEnded(onEnd: () => void): void {
    if (this.#fd < 0 || this.#waits) return;
    const onReady = (error?: Error): void => {
      if (error !== undefined) return; // nobody can be woken any more: the events fail by themselves
      if (this.hasEnded()) onEnd();
      else this.#poller.arm(this.#fd);
    };
    this.#waits = this.#poller.add(this.#fd, onReady) >= 0 && this.#poller.arm(this.#fd) >= 0;
  }

  /**
   * How it ended, by everything that the kernel still tells: to a parent by waitid(2), which takes nothing away; of one
   * whose status was collected by the pidfd (6.15); of one that waits for that by /proc, to its user and to root.
   *
   * @param startTimeTicks When it started, as /proc has it.
   */
  endStatus(startTimeTicks: number): EndStatus {
    return this.#waitStatus() ?? this.#pidfdStatus() ?? zombieStatus(this.#libc, this.#pid, startTimeTicks);
  }

  /** Lets go of it. */
  close(): void {
    if (this.#fd < 0) return;
    if (this.#waits) this.#poller.remove(this.#fd);
    this.#libc.close(this.#fd);
    this.#fd = -1;
  }

  #waitStatus(): number | undefined {
    if (this.#fd < 0) return undefined;
    const info = fixedBytes(SIGINFO.SIZE);
    const view = viewOf(info);
    if (this.#libc.waitid(P_PIDFD, this.#fd, info, WNOHANG_WEXITED_WNOWAIT) < 0) return undefined;
    // Nothing is filled in while a child is running.
    if (view.getInt32(SIGINFO.si_signo, LITTLE) === 0) return undefined;
    const code = view.getInt32(SIGINFO.si_code, LITTLE);
    const status = view.getInt32(SIGINFO.si_status, LITTLE);
    return code === CLD_EXITED ? (status & 0xff) << 8 : status | (code === CLD_DUMPED ? 0x80 : 0);
  }

  #pidfdStatus(): number | undefined {
    if (this.#fd < 0) return undefined;
    const info = fixedBytes(PIDFD_INFO.SIZE);
    const view = viewOf(info);
    view.setUint32(PIDFD_INFO.mask, PIDFD_INFO_EXIT, LITTLE);
    if (this.#libc.ioctl(this.#fd, PIDFD_GET_INFO, info) < 0) return undefined;
    if ((view.getUint32(PIDFD_INFO.mask, LITTLE) & PIDFD_INFO_EXIT) === 0) return undefined;
    return view.getInt32(PIDFD_INFO.exit_code, LITTLE);
  }
}

/**
 * The status in /proc/PID/stat. Before kernel 5.17 it is the main thread's, which may have ended first with a status of
 * its own: there the status of the process is not known.
 */
function zombieStatus(libc: Libc, pid: number, startTimeTicks: number): EndStatus {
  const bytes = readFile(libc, `/proc/${pid}/stat`);
  if (typeof bytes === "number") {
    return bytes === -ERRNO["ENOENT"]! || bytes === -ERRNO["ESRCH"]! ? "gone" : "failed";
  }
  const line = decodeText(bytes);
  // The name may hold spaces and parentheses: it reaches to the last closing one.
  const fields = line.slice(line.lastIndexOf(")") + 2).trimEnd().split(" ");
  const field = (number: number): string | undefined => fields[number - STATE];
  if (Number(field(STARTTIME)) !== startTimeTicks) return "gone";
  const isZombie = (field(STATE) === "Z" || field(STATE) === "X") && Number(field(NUM_THREADS)) <= 1;
  if (!isZombie) return "running";
  if (showsMainThread(libc)) return "failed";
  const status = Number(field(EXIT_CODE) ?? NaN);
  if (status !== 0) return Number.isNaN(status) ? "failed" : status;
  // Who may not know it reads 0 as well. The link of a process that has no memory left is missing for those who may.
  const link = linkResult(libc, `/proc/${pid}/exe`);
  return link === -ERRNO["ENOENT"]! ? 0 : "refused";
}

/** Whether this kernel is older than 5.17. */
function showsMainThread(libc: Libc): boolean {
  const release = /^(\d+)\.(\d+)/.exec(readTextFile(libc, "/proc/sys/kernel/osrelease") ?? "");
  if (release === null) return false;
  const [major, minor] = [Number(release[1]), Number(release[2])];
  return major < 5 || (major === 5 && minor < 17);
}
