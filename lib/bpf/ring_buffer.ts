import type { BpfCalls, MappingCalls } from "../../ffi/libc.ts";
import { check } from "../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { BPF_MAP_TYPE_RINGBUF, createMap } from "./bpf.ts";

/** The header of a record, `struct bpf_ringbuf_hdr`: its first word is the length, and two flags. */
const HEADER_BYTES = 8;
const BPF_RINGBUF_BUSY_BIT = 0x8000_0000;
const BPF_RINGBUF_DISCARD_BIT = 0x4000_0000;
/** A position counts all bytes since the ring was created. */
const POSITION_BYTES = 8;

const PROT_READ = 1;
const PROT_WRITE = 2;

/** A record that a program is just writing is finished within a microsecond: looks at it before it is left for later. */
const BUSY_LOOKS = 100;

/** Bytes that are copied at once, which is all there is under ordinary load. */
const COPIED_BYTES = 65_536;

/**
 * A ring buffer map: programs append records to it, and we copy many at once, without a system call. While it is full, new
 * records are refused.
 *
 * The map has a page with our position, one with the position of the programs, and the records, which are mapped twice
 * in a row, so that none is ever cut by the end.
 */
export class RingBuffer implements Disposable {
  /** The map. */
  readonly fd: number;
  /** A copy of the records that {@linkcode read} is at. */
  readonly records: Uint8Array<ArrayBuffer>;
  /** The same memory. */
  readonly view: DataView;
  readonly #libc: BpfCalls & MappingCalls;
  readonly #bytes: number;
  readonly #recordBytes: number;
  readonly #pageBytes: number;
  /** The addresses of our page, and of the page before the records. */
  #ours = 0;
  #theirs = 0;
  #position = 0;
  readonly #number: Uint8Array<ArrayBuffer> = fixedBytes(POSITION_BYTES);
  readonly #view: DataView = viewOf(this.#number);
  readonly #fence: Int32Array<ArrayBuffer> = new Int32Array(1);

  /**
   * Creates the map.
   *
   * @param bytes of all records, a power of two and of whole pages.
   * @param recordBytes Longest record; others are left out.
   * @param action completes "Cannot …" in the error.
   * @throws {SyscallError} If the kernel refuses.
   */
  constructor(libc: BpfCalls & MappingCalls, bytes: number, recordBytes: number, action: string) {
    this.#libc = libc;
    this.#bytes = bytes;
    this.#recordBytes = recordBytes;
    this.records = fixedBytes(Math.min(bytes, COPIED_BYTES));
    this.view = viewOf(this.records);
    this.#pageBytes = libc.getpagesize();
    const map = { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, entries: bytes };
    this.fd = createMap(libc, map, action);
    try {
      this.#ours = check(
        libc.mmap(this.#pageBytes, PROT_READ | PROT_WRITE, this.fd, 0),
        action,
        "mmap of the ring buffer",
      );
      const rest = libc.mmap(this.#mappedBytes, PROT_READ, this.fd, this.#pageBytes);
      this.#theirs = check(rest, action, "mmap of the ring buffer");
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Calls `take` for one record after the other, with its place in {@linkcode records} and its length. */
  read(take: (at: number, length: number) => void): void {
    const libc = this.#libc;
    libc.copyFrom(this.#theirs, this.#number);
    const end = Number(this.#view.getBigUint64(0, LITTLE));
    const begin = this.#position;
    for (let looks = 0; this.#position < end && looks < BUSY_LOOKS;) {
      const address = this.#theirs + this.#pageBytes + this.#position % this.#bytes;
      const copied = Math.min(end - this.#position, this.records.length);
      libc.copyFrom(address, this.records, copied);
      const finished = this.#finishedIn(copied);
      looks = finished === 0 ? looks + 1 : 0;
      if (finished === 0) continue;
      // What was copied of a record before its header said that it is finished may be incomplete.
      this.#order();
      libc.copyFrom(address, this.records, Math.min(finished, copied));
      this.#position += finished;
      for (let at = 0; at < finished;) {
        const word = this.view.getUint32(at, LITTLE);
        const length = lengthOf(word);
        if (length === word && length <= this.#recordBytes) take(at + HEADER_BYTES, length);
        at += sizeOf(length);
      }
    }
    if (this.#position === begin) return;
    this.#view.setBigUint64(0, BigInt(this.#position), LITTLE);
    this.#order();
    libc.copyTo(this.#ours, this.#number);
  }

  /** Unmaps and closes the map. To be called once. */
  [Symbol.dispose](): void {
    if (this.#theirs > 0) this.#libc.munmap(this.#theirs, this.#mappedBytes);
    if (this.#ours > 0) this.#libc.munmap(this.#ours, this.#pageBytes);
    this.#libc.close(this.fd);
  }

  get #mappedBytes(): number {
    return this.#pageBytes + 2 * this.#bytes;
  }

  /** Bytes of the finished records at the beginning of what was copied. One that is too long need not be there whole. */
  #finishedIn(copied: number): number {
    let at = 0;
    while (at + HEADER_BYTES <= copied) {
      const word = this.view.getUint32(at, LITTLE);
      if (word >= BPF_RINGBUF_BUSY_BIT) break;
      const length = lengthOf(word);
      if (length <= this.#recordBytes && at + sizeOf(length) > copied) break;
      at += sizeOf(length);
    }
    return at;
  }

  /** Keeps the processor from taking reads before this point after it, or the reverse. */
  #order(): void {
    Atomics.exchange(this.#fence, 0, 0);
  }
}

/** The length of a record, by the first word of its header. */
function lengthOf(word: number): number {
  return word & ~BPF_RINGBUF_DISCARD_BIT;
}

/** Bytes that a record takes with its header. */
function sizeOf(length: number): number {
  return (HEADER_BYTES + length + 7) & ~7;
}
