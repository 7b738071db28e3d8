import assert from "node:assert/strict";
import { test } from "node:test";
import { RingBuffer } from "../../lib/bpf/ring_buffer.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { FakeLibc } from "../support/fake_libc.ts";

const PAGE = 4096;
const RING = 8192;
const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;

/** The kernel's side of a ring: what it maps, written by a test. */
class FakeRing {
  readonly libc = new FakeLibc();
  readonly ring: RingBuffer;
  readonly #ours: DataView;
  readonly #theirs: DataView;
  #end = 0;

  constructor() {
    const addresses: number[] = [];
    this.libc.answers("bpf", () => this.libc.eventfd(0, 0));
    this.ring = new RingBuffer(this.libc, RING, 100, "test the ring");
    for (const { name, result } of this.libc.calls) if (name === "mmap") addresses.push(result);
    this.#ours = viewOf(this.libc.memory.at(BigInt(addresses[0]!), PAGE));
    this.#theirs = viewOf(this.libc.memory.at(BigInt(addresses[1]!), PAGE + 2 * RING));
  }

  /** Appends a record of `length` bytes, all with the same value; answers its position. */
  append(length: number, value: number, flags = 0): number {
    const at = this.#end;
    this.setHeader(at, (length | flags) >>> 0);
    for (let i = 0; i < length; i++) this.#setByte(at + 8 + i, value);
    this.#end += Math.ceil((8 + length) / 8) * 8;
    this.#theirs.setBigUint64(0, BigInt(this.#end), LITTLE);
    return at;
  }

  setHeader(at: number, word: number): void {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, word, LITTLE);
    for (const [i, byte] of bytes.entries()) this.#setByte(at + i, byte);
  }

  /** The records are mapped twice. */
  #setByte(at: number, value: number): void {
    this.#theirs.setUint8(PAGE + at % RING, value);
    this.#theirs.setUint8(PAGE + RING + at % RING, value);
  }

  /** What is read now, each as its length and value. */
  read(): (readonly [number, number])[] {
    const records: (readonly [number, number])[] = [];
    this.ring.read((at, length) => {
      const bytes = this.ring.records.subarray(at, at + length);
      assert(bytes.every((byte) => byte === bytes[0]));
      records.push([length, bytes[0] ?? -1]);
    });
    return records;
  }

  /** How much the kernel may use again: nothing that has not been read. */
  get released(): number {
    return Number(this.#ours.getBigUint64(0, LITTLE));
  }

  get end(): number {
    return this.#end;
  }
}

test("records of all lengths are read once, in order, also across the end of the ring", () => {
  const fake = new FakeRing();
  assert.deepEqual(fake.read(), []);
  for (let round = 0; round < 50; round++) {
    const expected = [1, 2, 3, 4, 5, 6].map((each) => [(each * 17 + round) % 101, round * 5 + each & 0xff]);
    for (const [length, value] of expected) fake.append(length!, value!);
    assert.deepEqual(fake.read(), expected.map(([length, value]) => [length, length === 0 ? -1 : value]));
    assert.equal(fake.released, fake.end);
  }
  assert.deepEqual(fake.read(), []);
  assert(fake.end > 2 * RING, "it went around");
});

test("a record that is being written keeps what follows for later; a discarded one is left out", () => {
  const fake = new FakeRing();
  fake.append(10, 1);
  const busy = fake.append(20, 2, BUSY);
  fake.append(30, 3);
  fake.append(40, 4, DISCARDED);
  fake.append(50, 5);
  assert.deepEqual(fake.read(), [[10, 1]]);
  assert.equal(fake.released, 24);
  assert.deepEqual(fake.read(), []);
  fake.setHeader(busy, 20);
  assert.deepEqual(fake.read(), [[20, 2], [30, 3], [50, 5]]);
  assert.equal(fake.released, fake.end);
});

test("a record that is longer than any of ours is left out", () => {
  const fake = new FakeRing();
  fake.append(101, 1);
  fake.append(100, 2);
  assert.deepEqual(fake.read(), [[100, 2]]);
});

test("whatever fails, nothing stays mapped or open", () => {
  const fake = new FakeRing();
  fake.ring[Symbol.dispose]();
  fake.libc.assertAllClosed();

  for (const failing of [0, 1]) {
    const libc = new FakeLibc();
    libc.answers("bpf", () => libc.eventfd(0, 0));
    libc.answers("mmap", ...(failing === 0 ? [] : [() => undefined]), -ERRNO.ENOMEM!);
    assert.throws(() => new RingBuffer(libc, RING, 100, "test the ring"), (error) => {
      assert(error instanceof SyscallError);
      assert.match(error.message, /^Cannot test the ring: mmap of the ring buffer failed with ENOMEM/);
      return true;
    });
    libc.assertAllClosed();
  }
});
