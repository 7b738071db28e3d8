import { POLLIN } from "../../ffi/constants.ts";
import { DescriptorPoll } from "../../ffi/descriptor_poll.ts";
import type { Libc, Poller, System } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { linkResult, readFile, readTextFile } from "../procfs/file.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import type { ReadFailure } from "../procfs/process.ts";
import { hasEnded, parseExitCode, parseStat } from "../procfs/text.ts";

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

/** How a process ended: its wait status, `"running"` while it has not, or why the status is unknown. */
export type EndStatus = number | "running" | ReadFailure;

/** What a {@linkcode ProcessHandle} works with. */
export type HandleMachine = Pick<System, "libc" | "poller">;

/**
 * Refers to one process even after its pid is reused: by a pidfd, which kernels have since 5.3, or by its pid and start
 * time.
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

  /** Opens a handle; undefined if no process has this pid. */
  static open(system: HandleMachine, pid: number): ProcessHandle | undefined {
    const fd = system.libc.pidfd_open(pid);
    if (fd === -ERRNO["ESRCH"]!) return undefined;
    // Without a pidfd (old kernel, sandbox, no descriptor left) only /proc remains.
    return new ProcessHandle(system, pid, fd);
  }

  /** Whether the process and all its threads have ended; undefined without a pidfd. */
  hasEnded(): boolean | undefined {
    if (this.#fd < 0) return undefined;
    const ready = new DescriptorPoll(this.#libc).ready(this.#fd, POLLIN);
    return ready < 0 ? undefined : (ready & POLLIN) !== 0;
  }

  /** Calls `onEnd` once the process has ended; never without a pidfd. */
  whenEnded(onEnd: () => void): void {
    if (this.#fd < 0 || this.#waits) return;
    const onReady = (error?: Error): void => {
      if (error !== undefined) return; // the poller has failed, and the watch of the events fails with it
      if (this.hasEnded()) onEnd();
      else this.#poller.arm(this.#fd);
    };
    this.#waits = this.#poller.add(this.#fd, onReady) >= 0 && this.#poller.arm(this.#fd) >= 0;
  }

  /**
   * How the process ended, from the first source that knows:
   * - waitid(2), if it is our child; it stays collectable;
   * - the pidfd, since Linux 6.15, even if its parent has collected the status;
   * - /proc, until its parent collects the status, for the same user and root.
   *
   * @param startTimeTicks Its start time in /proc.
   */
  endStatus(startTimeTicks: number): EndStatus {
    return this.#waitStatus() ?? this.#pidfdStatus() ?? zombieStatus(this.#libc, this.#pid, startTimeTicks);
  }

  /** Releases the pidfd. */
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
 * The status in /proc/PID/stat. Before Linux 5.17 that is the status of the main thread, which can differ from that of
 * the process.
 */
function zombieStatus(libc: Libc, pid: number, startTimeTicks: number): EndStatus {
  const bytes = readFile(libc, `/proc/${pid}/stat`);
  if (typeof bytes === "number") {
    return bytes === -ERRNO["ENOENT"]! || bytes === -ERRNO["ESRCH"]! ? "gone" : "failed";
  }
  const stat = parseStat(bytes, bytes.length);
  if (stat === undefined) return "failed";
  if (stat.startTimeTicks !== startTimeTicks) return "gone";
  if (!hasEnded(stat)) return "running";
  if (showsMainThread(libc)) return "failed";
  const status = parseExitCode(bytes, bytes.length);
  if (status !== 0) return Number.isNaN(status) ? "failed" : status;
  // 0 can also mean that this user may not know it. Only a permitted user gets ENOENT for the link of a zombie.
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
