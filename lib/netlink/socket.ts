import { readTextFile } from "../procfs/file.ts";
import type { Libc, ReadCalls } from "../../ffi/libc.ts";
import { formatExplanation, POLICY_FORBIDS_SOCKET, unsupported } from "../errors/advice.ts";
import { ERRNO } from "../errors/errno.ts";
import { check, SyscallError } from "../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { explainNoConnector } from "./no_connector.ts";
import {
  AF_NETLINK,
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_CONNECTOR,
  NETLINK_DROP_MEMBERSHIP,
  NETLINK_LIST_MEMBERSHIPS,
  NETLINK_NO_ENOBUFS,
  SO_ATTACH_FILTER,
  SO_DETACH_FILTER,
  SO_MEMINFO,
  SO_PASSCRED,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOCKADDR_NL,
  sockaddrNl,
  SOL_NETLINK,
  SOL_SOCKET,
} from "./message.ts";
import { noteOwner } from "./owner.ts";

/** Words of SO_MEMINFO (include/uapi/linux/sock_diag.h). */
const SK_MEMINFO = { rcvbuf: 1, drops: 8, COUNT: 9 } as const;

/** Offsets in `struct sock_fprog` (include/uapi/linux/filter.h) on a 64-bit machine. */
const SOCK_FPROG = { len: 0, filter: 8, SIZE: 16 } as const;

/** A netlink socket. It never blocks, and it is closed at most once. */
export class NetlinkSocket implements Disposable {
  /** The descriptor. */
  readonly fd: number;
  /** Our own port, which the kernel chose: a port made from the process id would clash with a second socket. */
  readonly port: number;
  readonly #libc: Libc;
  readonly #action: string;
  readonly #meminfo: Uint8Array<ArrayBuffer> = fixedBytes(SK_MEMINFO.COUNT * 4);
  readonly #to: Uint8Array = sockaddrNl(0, 0);
  #program: Uint8Array | undefined;
  #open = true;

  private constructor(libc: Libc, action: string, fd: number, port: number) {
    this.#libc = libc;
    this.#action = action;
    this.fd = fd;
    this.port = port;
  }

  /**
   * Opens a socket without any group.
   *
   * @param action completes "Cannot …" in this socket's errors.
   * @throws {UnsupportedError} If the kernel has no connector.
   */
  static open(libc: Libc, action: string, protocol: number = NETLINK_CONNECTOR): NetlinkSocket {
    const fd = libc.socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    const ofConnector = protocol === NETLINK_CONNECTOR;
    const refusal = fd < 0 && ofConnector ? explainNoConnector(libc, -fd) : undefined;
    if (refusal !== undefined) throw unsupported(action, refusal);
    const advice = fd === -ERRNO.EPERM! || fd === -ERRNO.EACCES!
      ? formatExplanation(POLICY_FORBIDS_SOCKET)
      : undefined;
    check(fd, action, "socket", advice);
    try {
      check(libc.bind(fd, sockaddrNl(0, 0)), action, "bind");
      const address = sockaddrNl(0, 0);
      check(libc.getsockname(fd, address), action, "getsockname");
      if (ofConnector) noteOwner(libc, fd, 0);
      return new NetlinkSocket(libc, action, fd, viewOf(address).getUint32(SOCKADDR_NL.pid, LITTLE));
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** A socket that was opened by a thread that has ended. */
  static adopt(libc: Libc, action: string, fd: number): NetlinkSocket {
    const address = sockaddrNl(0, 0);
    check(libc.getsockname(fd, address), action, "getsockname");
    return new NetlinkSocket(libc, action, fd, viewOf(address).getUint32(SOCKADDR_NL.pid, LITTLE));
  }

  /** Joins a group by its number, 1 to 32. `action` completes "Cannot …" in place of the socket's own. */
  join(group: number, advice?: (errno: number) => string | undefined, action: string = this.#action): void {
    const result = this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
    check(result, action, "setsockopt(NETLINK_ADD_MEMBERSHIP)", advice?.(-result));
  }

  /** Leaves a group by its number. */
  leave(group: number): void {
    check(
      this.#setOption(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, group),
      this.#action,
      "setsockopt(NETLINK_DROP_MEMBERSHIP)",
    );
  }

  /** The groups that the socket is in, as a mask: bit n-1 is group n. */
  memberships(): number {
    const mask = fixedBytes(4);
    const result = this.#libc.getsockopt(this.fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, mask);
    check(result, this.#action, "getsockopt(NETLINK_LIST_MEMBERSHIPS)");
    return viewOf(mask).getUint32(0, LITTLE);
  }

  /**
   * Sets the receive buffer; with CAP_NET_ADMIN it may exceed the system's limit.
   *
   * @returns What the kernel granted: twice what was asked for, because it counts its own overhead.
   */
  setReceiveBuffer(bytes: number): number {
    const forced = this.#setOption(SOL_SOCKET, SO_RCVBUFFORCE, bytes);
    if (forced < 0) {
      check(this.#setOption(SOL_SOCKET, SO_RCVBUF, bytes), this.#action, "setsockopt(SO_RCVBUF)");
    }
    return this.#memory(SK_MEMINFO.rcvbuf);
  }

  /**
   * Keeps the kernel from discarding everything after an overrun until the queue is empty, which is its default. The
   * drop counter counts either way.
   */
  disableOverrunErrors(): void {
    check(
      this.#setOption(SOL_NETLINK, NETLINK_NO_ENOBUFS, 1),
      this.#action,
      "setsockopt(NETLINK_NO_ENOBUFS)",
    );
  }

  /** Asks for the sender's process and user with every message. */
  passCredentials(): void {
    check(this.#setOption(SOL_SOCKET, SO_PASSCRED, 1), this.#action, "setsockopt(SO_PASSCRED)");
  }

  /** Attaches an assembled filter in place of the previous one. It applies to new datagrams only. */
  attachFilter(program: Uint8Array): void {
    // C gets only its address: the field keeps the memory alive until the kernel has copied it.
    this.#program = program;
    const fprog = fixedBytes(SOCK_FPROG.SIZE);
    const view = viewOf(fprog);
    view.setUint16(SOCK_FPROG.len, program.length / 8, LITTLE);
    view.setBigUint64(SOCK_FPROG.filter, this.#libc.addressOf(program), LITTLE);
    check(
      this.#libc.setsockopt(this.fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog),
      this.#action,
      "setsockopt(SO_ATTACH_FILTER)",
    );
  }

  /** Removes the filter. */
  detachFilter(): void {
    check(this.#setOption(SOL_SOCKET, SO_DETACH_FILTER, 0), this.#action, "setsockopt(SO_DETACH_FILTER)");
  }

  /** How many datagrams the kernel had no room for since the socket was opened, modulo 2^32. */
  drops(): number {
    return this.#memory(SK_MEMINFO.drops);
  }

  /**
   * Sends one datagram: to a port (0 is the kernel), and to a group by its mask.
   *
   * @returns Bytes sent, or `-errno`.
   */
  send(datagram: Uint8Array, port: number = 0, groups: number = 0): number {
    const view = viewOf(this.#to);
    view.setUint32(SOCKADDR_NL.pid, port, LITTLE);
    view.setUint32(SOCKADDR_NL.groups, groups, LITTLE);
    return this.#libc.sendto(this.fd, datagram, 0, this.#to);
  }

  /** Closes the socket; a second call does nothing. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#libc.close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #memory(word: number): number {
    const result = this.#libc.getsockopt(this.fd, SOL_SOCKET, SO_MEMINFO, this.#meminfo);
    if (result < 0) throw new SyscallError(this.#action, "getsockopt(SO_MEMINFO)", -result);
    return viewOf(this.#meminfo).getUint32(word * 4, LITTLE);
  }

  #setOption(level: number, option: number, value: number): number {
    const bytes = fixedBytes(4);
    viewOf(bytes).setInt32(0, value, LITTLE);
    return this.#libc.setsockopt(this.fd, level, option, bytes);
  }
}

/** The part of the available memory that a receive buffer may take. */
const SHARE = 1 / 8;

/**
 * The receive buffer to ask for: at most an eighth of the available memory. What fills it is charged to no process, so
 * too large a buffer could bring the out-of-memory killer on others.
 *
 * @param action completes "Cannot …" in the error.
 * @throws {RangeError} If `bytes` is not from 1 to 2^30 - 1.
 */
export function clampReceiveBuffer(libc: ReadCalls, bytes: number, action: string): number {
  if (!(Number.isInteger(bytes) && bytes >= 1 && bytes < 2 ** 30)) {
    throw new RangeError(`Cannot ${action}: receiveBufferBytes must be 1 to 2^30 - 1, and is ${bytes}`);
  }
  const available = /^MemAvailable:\s+(\d+) kB$/m.exec(readTextFile(libc, "/proc/meminfo") ?? "")?.[1];
  return available === undefined ? bytes : Math.min(bytes, Math.floor(Number(available) * 1024 * SHARE));
}
