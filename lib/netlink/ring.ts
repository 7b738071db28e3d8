import type { Libc } from "../../ffi/libc.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/host.ts";
import { SOCKADDR_NL } from "./address.ts";
import { AF_NETLINK, MSG_DONTWAIT, MSG_TRUNC, SCM_CREDENTIALS, SOL_SOCKET } from "./constants.ts";

/** Offsets in `struct mmsghdr` on a 64-bit machine; it begins with a `struct msghdr`. */
const MMSGHDR = {
  name: 0,
  namelen: 8,
  iov: 16,
  iovlen: 24,
  control: 32,
  controllen: 40,
  flags: 48,
  len: 56,
  SIZE: 64,
} as const;

/** Offsets in `struct iovec` on a 64-bit machine. */
const IOVEC = { base: 0, len: 8, SIZE: 16 } as const;

/** Offsets in a control message with a `struct ucred`. */
const CREDENTIALS = { len: 0, level: 8, type: 12, pid: 16, uid: 20, gid: 24, SIZE: 32 } as const;

/** A sender that could not be told: never the kernel's port. */
export const UNKNOWN_PORT = 0xffff_ffff;

/** Who sent a datagram, as the kernel vouches for it (`struct ucred`). */
export interface Credentials {
  /** The process. */
  readonly pid: number;
  /** Its user. */
  readonly uid: number;
  /** Its group. */
  readonly gid: number;
}

/**
 * Memory into which one recvmmsg puts many datagrams with their senders. Every datagram is valid until the next
 * receive.
 */
export class ReceiveRing {
  /** All datagrams, at {@linkcode at}. */
  readonly view: DataView;
  readonly slots: number;
  readonly #libc: Libc;
  readonly #slotBytes: number;
  readonly #headers: Uint8Array<ArrayBuffer>;
  readonly #header: DataView;
  readonly #names: DataView;
  readonly #control: DataView | undefined;
  // C holds the addresses of these: they must live as long as the ring.
  readonly #memory: readonly Uint8Array[];
  #used = 0;

  constructor(libc: Libc, slots: number, slotBytes: number, withCredentials: boolean = false) {
    this.slots = slots;
    this.#libc = libc;
    this.#slotBytes = slotBytes;
    const data = fixedBytes(slots * slotBytes);
    const names = fixedBytes(slots * SOCKADDR_NL.SIZE);
    const vectors = fixedBytes(slots * IOVEC.SIZE);
    const control = withCredentials ? fixedBytes(slots * CREDENTIALS.SIZE) : undefined;
    this.#headers = fixedBytes(slots * MMSGHDR.SIZE);
    this.#memory = [data, names, vectors];
    this.view = viewOf(data);
    this.#names = viewOf(names);
    this.#header = viewOf(this.#headers);
    this.#control = control && viewOf(control);
    const address = (bytes: Uint8Array): bigint => libc.addressOf(bytes);
    const [dataAddress, namesAddress, vectorsAddress] = [address(data), address(names), address(vectors)];
    const controlAddress = control === undefined ? 0n : address(control);
    const vector = viewOf(vectors);
    for (let i = 0; i < slots; i++) {
      vector.setBigUint64(i * IOVEC.SIZE + IOVEC.base, dataAddress + BigInt(i * slotBytes), LITTLE);
      vector.setBigUint64(i * IOVEC.SIZE + IOVEC.len, BigInt(slotBytes), LITTLE);
      const at = i * MMSGHDR.SIZE;
      this.#header.setBigUint64(at + MMSGHDR.name, namesAddress + BigInt(i * SOCKADDR_NL.SIZE), LITTLE);
      this.#header.setBigUint64(at + MMSGHDR.iov, vectorsAddress + BigInt(i * IOVEC.SIZE), LITTLE);
      this.#header.setBigUint64(at + MMSGHDR.iovlen, 1n, LITTLE);
      const slotControl = control === undefined ? 0n : controlAddress + BigInt(i * CREDENTIALS.SIZE);
      this.#header.setBigUint64(at + MMSGHDR.control, slotControl, LITTLE);
    }
    this.#used = slots;
  }

  /** Fetches what is queued, up to all slots. Answers how many datagrams, or `-errno`. */
  receive(fd: number): number {
    this.#prepare();
    const count = this.#libc.recvmmsg(fd, this.#headers, this.slots, MSG_DONTWAIT);
    this.#used = Math.max(count, 0);
    return count;
  }

  /**
   * Fetches one datagram by recvmsg: the only call that ends the congestion of a socket after an overrun.
   * Answers how many datagrams (1), or `-errno`.
   */
  receiveOne(fd: number): number {
    this.#prepare();
    const bytes = this.#libc.recvmsg(fd, this.#headers, MSG_DONTWAIT);
    this.#used = bytes < 0 ? 0 : 1;
    if (bytes < 0) return bytes;
    this.#header.setUint32(MMSGHDR.len, bytes, LITTLE);
    return 1;
  }

  /** Where datagram `i` begins in {@linkcode view}. */
  at(i: number): number {
    return i * this.#slotBytes;
  }

  /** Where datagram `i` ends. */
  end(i: number): number {
    return i * this.#slotBytes + this.#header.getUint32(i * MMSGHDR.SIZE + MMSGHDR.len, LITTLE);
  }

  /** Whether datagram `i` was longer than its slot. */
  truncated(i: number): boolean {
    return (this.#header.getUint32(i * MMSGHDR.SIZE + MMSGHDR.flags, LITTLE) & MSG_TRUNC) !== 0;
  }

  /** The port that sent datagram `i`: 0 is the kernel, and nobody else can have it. */
  senderPort(i: number): number {
    const at = i * SOCKADDR_NL.SIZE;
    if (
      this.#header.getUint32(i * MMSGHDR.SIZE + MMSGHDR.namelen, LITTLE) !== SOCKADDR_NL.SIZE ||
      this.#names.getUint16(at + SOCKADDR_NL.family, LITTLE) !== AF_NETLINK
    ) return UNKNOWN_PORT;
    return this.#names.getUint32(at + SOCKADDR_NL.pid, LITTLE);
  }

  /** The mask of the group that datagram `i` was sent to, 0 for none. */
  senderGroups(i: number): number {
    return this.#names.getUint32(i * SOCKADDR_NL.SIZE + SOCKADDR_NL.groups, LITTLE);
  }

  /** The sender's credentials, where they were asked for and came. */
  credentials(i: number): Credentials | undefined {
    const control = this.#control;
    if (control === undefined) return undefined;
    const at = i * CREDENTIALS.SIZE;
    const length = this.#header.getBigUint64(i * MMSGHDR.SIZE + MMSGHDR.controllen, LITTLE);
    if (
      length < CREDENTIALS.SIZE - 4 || control.getUint32(at + CREDENTIALS.level, LITTLE) !== SOL_SOCKET ||
      control.getUint32(at + CREDENTIALS.type, LITTLE) !== SCM_CREDENTIALS
    ) return undefined;
    return {
      pid: control.getUint32(at + CREDENTIALS.pid, LITTLE),
      uid: control.getUint32(at + CREDENTIALS.uid, LITTLE),
      gid: control.getUint32(at + CREDENTIALS.gid, LITTLE),
    };
  }

  /** Sets again what the last receive wrote. A name that is not written must not look like the kernel's. */
  #prepare(): void {
    const controlBytes = this.#control === undefined ? 0 : CREDENTIALS.SIZE;
    for (let i = 0; i < this.#used; i++) {
      const at = i * MMSGHDR.SIZE;
      this.#header.setUint32(at + MMSGHDR.namelen, SOCKADDR_NL.SIZE, LITTLE);
      this.#header.setUint32(at + MMSGHDR.controllen, controlBytes, LITTLE);
      this.#names.setUint16(i * SOCKADDR_NL.SIZE + SOCKADDR_NL.family, 0, LITTLE);
      this.#names.setUint32(i * SOCKADDR_NL.SIZE + SOCKADDR_NL.pid, UNKNOWN_PORT, LITTLE);
    }
  }
}
