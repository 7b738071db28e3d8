/**
 * Addresses for buffers that no C code will ever see: {@linkcode FakeMemory.addressOf} makes them up, and what a
 * structure points at is found again by them. A pointer to anything else is an error of the code under test.
 */
export class FakeMemory {
  readonly #regions: { readonly base: number; readonly buffer: ArrayBufferLike }[] = [];
  readonly #bases = new WeakMap<ArrayBufferLike, number>();
  #next = 0x7f00_0000_0000;

  /** The address of the first byte of `bytes`; always the same for the same memory. */
  addressOf(bytes: Uint8Array): bigint {
    let base = this.#bases.get(bytes.buffer);
    if (base === undefined) {
      base = this.#next;
      this.#bases.set(bytes.buffer, base);
      this.#regions.push({ base, buffer: bytes.buffer });
      // Nothing lies in between: what runs over the end of a buffer hits no other.
      this.#next += (bytes.buffer.byteLength + 0x1fff) & ~0xfff;
    }
    return BigInt(base + bytes.byteOffset);
  }

  /** The memory at an address. Throws where the code under test has no buffer of so many bytes there. */
  at(address: bigint, bytes: number): Uint8Array {
    const at = Number(address);
    const region = this.#regions.find(({ base, buffer }) =>
      at >= base && at + bytes <= base + buffer.byteLength
    );
    if (region === undefined) throw new Error(`No buffer of ${bytes} bytes at 0x${address.toString(16)}`);
    return new Uint8Array(region.buffer, at - region.base, bytes);
  }
}
