import type { SocketCalls } from "../../ffi/libc.ts";
import { fixedBytes, viewOf } from "../wire/bytes.ts";
import { type Memory, memoryOf } from "../wire/memory.ts";
import {
  AF_NETLINK,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  SCM_CREDENTIALS,
  SOCKADDR_NL,
  SOL_SOCKET,
} from "./message.ts";

/**
 * Offsets in 32-bit words in host byte order: they are accessed for every datagram, and a Uint32Array is faster than a
 * DataView. A pointer or a size_t takes two words, the lower one first.
 */
const MMSGHDR = {
  name: 0,
  namelen: 2,
  iov: 4,
  iovlen: 6,
  control: 8,
  controllen: 10,
  flags: 12,
  len: 14,
  SIZE: 16,
} as const;
const IOVEC = { base: 0, len: 2, SIZE: 4 } as const;
const NAME = {
  family: 0,
  pid: SOCKADDR_NL.pid / 4,
  groups: SOCKADDR_NL.groups / 4,
  SIZE: SOCKADDR_NL.SIZE / 4,
} as const;
/** A control message with a `struct ucred`. */
const CREDENTIALS = { len: 0, level: 2, type: 3, pid: 4, uid: 5, gid: 6, SIZE: 8 } as const;
const WORD_BYTES = 4;
/** Padding before each datagram: the payload, after headers of 36 bytes, is then aligned to 8. */
const LEAD_BYTES = 4;

/** The port of an unknown sender: never the kernel's. */
export const UNKNOWN_PORT = 0xffff_ffff;

/** Who sent a datagram, as reported by the kernel (`struct ucred`). */
export interface Credentials {
  /** The process. */
  readonly pid: number;
  /** Its user. */
  readonly uid: number;
  /** Its group. */
  readonly gid: number;
}

/**
 * Memory into which one recvmmsg writes many datagrams with their senders. A datagram is valid until the next receive.
 */
export class DatagramBatch {
  /** All datagrams, at {@linkcode at}. */
  readonly view: DataView;
  /** The same memory. */
  readonly memory: Memory;
  readonly slots: number;
  readonly #libc: SocketCalls;
  readonly #slotBytes: number;
  /** From one slot to the next. */
  readonly #stride: number;
  readonly #headerBytes: Uint8Array<ArrayBuffer>;
  readonly #headers: Uint32Array<ArrayBuffer>;
  readonly #names: Uint32Array<ArrayBuffer>;
  readonly #control: Uint32Array<ArrayBuffer> | undefined;
  // C holds the addresses of these: they must live as long as the batch.
  readonly #memory: readonly Uint8Array[];
  /** The first slot, as recvfrom fills it. */
  readonly #first: { readonly data: Uint8Array; readonly name: Uint8Array; readonly nameLength: Uint8Array };
  #used = 0;

  constructor(libc: SocketCalls, slots: number, slotBytes: number, withCredentials: boolean = false) {
    this.slots = slots;
    this.#libc = libc;
    this.#slotBytes = slotBytes;
    const memory = (words: number): Uint8Array<ArrayBuffer> => fixedBytes(slots * words * WORD_BYTES);
    this.#stride = (LEAD_BYTES + slotBytes + 7) & ~7;
    const data = fixedBytes(slots * this.#stride);
    const names = memory(NAME.SIZE);
    const vectors = memory(IOVEC.SIZE);
    const control = withCredentials ? memory(CREDENTIALS.SIZE) : undefined;
    this.#headerBytes = memory(MMSGHDR.SIZE);
    this.#memory = [data, names, vectors];
    this.#first = {
      data: data.subarray(LEAD_BYTES, LEAD_BYTES + slotBytes),
      name: names.subarray(0, SOCKADDR_NL.SIZE),
      nameLength: this.#headerBytes.subarray(
        MMSGHDR.namelen * WORD_BYTES,
        (MMSGHDR.namelen + 1) * WORD_BYTES,
      ),
    };
    this.view = viewOf(data);
    this.memory = memoryOf(data);
    this.#names = wordsOf(names);
    this.#headers = wordsOf(this.#headerBytes);
    this.#control = control && wordsOf(control);
    // Addresses of user space have less than 53 bits.
    const address = (bytes: Uint8Array): number => Number(libc.addressOf(bytes));
    const [dataAddress, namesAddress, vectorsAddress] = [address(data), address(names), address(vectors)];
    const controlAddress = control === undefined ? 0 : address(control);
    const vector = wordsOf(vectors);
    for (let i = 0; i < slots; i++) {
      setAddress(vector, i * IOVEC.SIZE + IOVEC.base, dataAddress + this.at(i));
      vector[i * IOVEC.SIZE + IOVEC.len] = slotBytes;
      const at = i * MMSGHDR.SIZE;
      setAddress(this.#headers, at + MMSGHDR.name, namesAddress + i * SOCKADDR_NL.SIZE);
      setAddress(this.#headers, at + MMSGHDR.iov, vectorsAddress + i * IOVEC.SIZE * WORD_BYTES);
      this.#headers[at + MMSGHDR.iovlen] = 1;
      if (control === undefined) continue;
      setAddress(this.#headers, at + MMSGHDR.control, controlAddress + i * CREDENTIALS.SIZE * WORD_BYTES);
    }
    this.#used = slots;
  }

  /** Receives as many datagrams as there are slots. Returns how many, or `-errno`. */
  receive(fd: number): number {
    this.#prepare();
    const count = this.#libc.recvmmsg(fd, this.#headerBytes, this.slots, MSG_DONTWAIT);
    this.#used = Math.max(count, 0);
    return count;
  }

  /**
   * Receives one datagram by recvfrom, which ends a socket's congestion after an overrun; recvmmsg may not. recvfrom has
   * no credentials: if they are wanted it only peeks, and recvmmsg receives. Returns how many datagrams, or `-errno`.
   */
  receiveOne(fd: number): number {
    this.#prepare();
    // With MSG_TRUNC the kernel returns the full length of the datagram.
    const flags = MSG_DONTWAIT | MSG_TRUNC | (this.#control === undefined ? 0 : MSG_PEEK);
    const { data, name, nameLength } = this.#first;
    const bytes = this.#libc.recvfrom(fd, data, flags, name, nameLength);
    this.#used = bytes < 0 ? 0 : 1;
    if (bytes < 0) return bytes;
    if (this.#control !== undefined) return this.receive(fd);
    this.#headers[MMSGHDR.len] = Math.min(bytes, this.#slotBytes);
    this.#headers[MMSGHDR.flags] = bytes > this.#slotBytes ? MSG_TRUNC : 0;
    return 1;
  }

  /** Where datagram `i` begins in {@linkcode view}. */
  at(i: number): number {
    return i * this.#stride + LEAD_BYTES;
  }

  /** Where datagram `i` ends. */
  end(i: number): number {
    return this.at(i) + this.#headers[i * MMSGHDR.SIZE + MMSGHDR.len]!;
  }

  /** Whether datagram `i` was longer than its slot. */
  truncated(i: number): boolean {
    return (this.#headers[i * MMSGHDR.SIZE + MMSGHDR.flags]! & MSG_TRUNC) !== 0;
  }

  /** The port that sent datagram `i`. 0 is the kernel; no program can have it. */
  senderPort(i: number): number {
    const at = i * NAME.SIZE;
    if (
      this.#headers[i * MMSGHDR.SIZE + MMSGHDR.namelen] !== SOCKADDR_NL.SIZE ||
      (this.#names[at + NAME.family]! & 0xffff) !== AF_NETLINK
    ) return UNKNOWN_PORT;
    return this.#names[at + NAME.pid]!;
  }

  /** The mask of the group that datagram `i` was sent to, 0 for none. */
  senderGroups(i: number): number {
    return this.#names[i * NAME.SIZE + NAME.groups]!;
  }

  /** The sender's credentials, if they were asked for and received. */
  credentials(i: number): Credentials | undefined {
    const control = this.#control;
    if (control === undefined) return undefined;
    const at = i * CREDENTIALS.SIZE;
    const length = this.#headers[i * MMSGHDR.SIZE + MMSGHDR.controllen]!;
    if (
      length < (CREDENTIALS.gid + 1) * WORD_BYTES || control[at + CREDENTIALS.level] !== SOL_SOCKET ||
      control[at + CREDENTIALS.type] !== SCM_CREDENTIALS
    ) return undefined;
    return {
      pid: control[at + CREDENTIALS.pid]!,
      uid: control[at + CREDENTIALS.uid]!,
      gid: control[at + CREDENTIALS.gid]!,
    };
  }

  /** Sets again what the last receive wrote. A name that is not written must not look like the kernel's. */
  #prepare(): void {
    const headers = this.#headers;
    const names = this.#names;
    const controlBytes = this.#control === undefined ? 0 : CREDENTIALS.SIZE * WORD_BYTES;
    for (let i = 0; i < this.#used; i++) {
      headers[i * MMSGHDR.SIZE + MMSGHDR.namelen] = SOCKADDR_NL.SIZE;
      headers[i * MMSGHDR.SIZE + MMSGHDR.controllen] = controlBytes;
      names[i * NAME.SIZE + NAME.family] = 0;
      names[i * NAME.SIZE + NAME.pid] = UNKNOWN_PORT;
    }
  }
}

function wordsOf(bytes: Uint8Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  return new Uint32Array(bytes.buffer);
}

function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address; // its lower 32 bits
  words[at + 1] = Math.floor(address / 2 ** 32);
}
