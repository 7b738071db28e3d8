/** Pseudo-random numbers that a seed repeats: a xorshift register of 32 bits. */
export class Random {
  #state: number;

  constructor(seed: number) {
    // Never 0, where it would stay; and the first numbers of neighbouring seeds shall differ.
    this.#state = (Math.imul(seed + 1, 0x9e37_79b1) >>> 0) || 1;
    for (let i = 0; i < 8; i++) this.u32();
  }

  /** Any unsigned 32-bit number but 0. */
  u32(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return this.#state;
  }

  /** A whole number from 0, below `limit`. */
  below(limit: number): number {
    return limit <= 1 ? 0 : (this.u32() >>> 4) % limit;
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}
