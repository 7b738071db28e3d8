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

/**
 * A ring buffer map: programs append records to it, and we read them where the kernel has them, without a system call.
 * While it is full, new records are refused.
 *
 * The map has a page with our position, one with the position of the programs, and the records, which are mapped twice
 * in a row, so that none is ever cut by the end.
 */
export class RingBuffer implements Disposable {
  /** The map. */
  readonly fd: number;
  /** The record that {@linkcode read} is at. */
  readonly record: Uint8Array<ArrayBuffer>;
  /** The same memory. */
  readonly view: DataView;
  readonly #libc: BpfCalls & MappingCalls;
  readonly #bytes: number;
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
   * @param recordBytes Longest record.
   * @param action completes "Cannot …" in the error.
   * @throws {SyscallError} If the kernel refuses.
   */
  constructor(libc: BpfCalls & MappingCalls, bytes: number, recordBytes: number, action: string) {
    this.#libc = libc;
    this.#bytes = bytes;
    this.record = fixedBytes(recordBytes);
    this.view = viewOf(this.record);
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

  /** Puts one record after the other into {@linkcode record}, and calls `take` with its length. */
  read(take: (length: number) => void): void {
    const libc = this.#libc;
    libc.copyFrom(this.#theirs, this.#number);
    const end = Number(this.#view.getBigUint64(0, LITTLE));
    const begin = this.#position;
    const records = this.#theirs + this.#pageBytes;
    while (this.#position < end) {
      const at = records + this.#position % this.#bytes;
      const word = this.#headerAt(at);
      if (word >= BPF_RINGBUF_BUSY_BIT) break;
      const length = word & ~BPF_RINGBUF_DISCARD_BIT;
      this.#position += (HEADER_BYTES + length + 7) & ~7;
      if (length !== word || length > this.record.length) continue;
      libc.copyFrom(at + HEADER_BYTES, this.record, length);
      take(length);
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

  /** The first word of the record at an address. */
  #headerAt(address: number): number {
    let word = BPF_RINGBUF_BUSY_BIT;
    for (let looks = 0; word >= BPF_RINGBUF_BUSY_BIT && looks < BUSY_LOOKS; looks++) {
      this.#libc.copyFrom(address, this.#number, HEADER_BYTES);
      word = this.#view.getUint32(0, LITTLE);
    }
    this.#order();
    return word;
  }

  /** Keeps the processor from taking reads before this point after it, or the reverse. */
  #order(): void {
    Atomics.exchange(this.#fence, 0, 0);
  }
}
