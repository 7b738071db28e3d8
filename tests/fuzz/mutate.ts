import { Random } from "./random.ts";

/** Numbers at which programs go wrong. */
const EDGES: readonly number[] = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  12,
  15,
  16,
  19,
  20,
  21,
  31,
  32,
  36,
  40,
  60,
  63,
  64,
  127,
  128,
  160,
  255,
  256,
  332,
  512,
  1023,
  1024,
  2048,
  4095,
  4096,
  7432,
  0x7fff,
  0x8000,
  0xfffe,
  0xffff,
  0x1_0000,
  0x7fff_ffff,
  0x8000_0000,
  0xffff_fffe,
  0xffff_ffff,
];

/** What an input may grow to. */
export interface MutateOptions {
  readonly maxBytes: number;
  /** Pieces of the format, as a person would write them. */
  readonly words: readonly Uint8Array[];
  /** Other inputs, to take parts from. */
  readonly others: readonly Uint8Array[];
}

/** A few random changes of an input; the input itself stays. */
export function mutate(input: Uint8Array, random: Random, options: MutateOptions): Uint8Array {
  let bytes = input;
  const changes = 1 + random.below(random.oneIn(4) ? 12 : 3);
  for (let i = 0; i < changes; i++) bytes = change(bytes, random, options);
  return bytes.length > options.maxBytes ? bytes.slice(0, options.maxBytes) : bytes;
}

function change(bytes: Uint8Array, random: Random, { words, others, maxBytes }: MutateOptions): Uint8Array {
  const at = random.below(bytes.length + 1);
  const length = random.oneIn(3) ? random.below(bytes.length - at + 1) : random.below(9);
  switch (random.below(11)) {
    case 0: // one bit
      return overwrite(bytes, at, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random.below(8))));
    case 1: // one byte
      return overwrite(bytes, at, Uint8Array.of(random.below(256)));
    case 2: { // a word of two, four or eight bytes, mostly where a structure would have it
      const size = random.pick([2, 4, 4, 8]);
      const word = new Uint8Array(size);
      const view = new DataView(word.buffer);
      const value = random.oneIn(5) ? random.u32() : random.pick(EDGES) + random.below(3) - 1;
      if (size === 2) view.setUint16(0, value, true);
      else view.setUint32(0, value, true);
      if (size === 8 && random.oneIn(2)) view.setUint32(4, value < 0 ? 0xffff_ffff : random.below(2), true);
      return overwrite(bytes, random.oneIn(4) ? at : at & ~(Math.min(size, 4) - 1), word);
    }
    case 3: // cut the end off
      return bytes.slice(0, at);
    case 4: // take out a part
      return replace(bytes, at, length, new Uint8Array());
    case 5: { // random bytes in between, or at the end
      const added = Uint8Array.from({ length: random.below(40) }, () => random.below(256));
      return replace(bytes, random.oneIn(2) ? bytes.length : at, 0, added);
    }
    case 6: { // the same again, at times very often
      const part = bytes.slice(at, at + Math.max(1, length));
      if (part.length === 0) return bytes;
      const most = Math.floor(maxBytes / part.length);
      const times = Math.min(most, random.oneIn(20) ? 1 + random.below(most) : 1 + random.below(4));
      const added = new Uint8Array(part.length * times);
      for (let i = 0; i < times; i++) added.set(part, i * part.length);
      return replace(bytes, at, 0, added);
    }
    case 7: { // a part of another input
      const other = random.pick(others);
      const from = random.below(other.length + 1);
      return replace(bytes, at, random.oneIn(2) ? length : 0, other.slice(from, from + random.below(64)));
    }
    case 8: { // the start of this, the end of another
      const other = random.pick(others);
      return replace(bytes.slice(0, at), at, 0, other.slice(random.below(other.length + 1)));
    }
    case 9: // a piece of the format
      return words.length === 0
        ? bytes
        : replace(bytes, at, random.oneIn(2) ? length : 0, random.pick(words));
    default: { // all the same
      const copy = bytes.slice();
      copy.fill(random.pick([0, 0xff, 0x20, 0x30, 0x80]), at, at + length);
      return copy;
    }
  }
}

function overwrite(bytes: Uint8Array, at: number, word: Uint8Array): Uint8Array {
  const copy = new Uint8Array(Math.max(bytes.length, at + word.length));
  copy.set(bytes);
  copy.set(word, at);
  return copy;
}

function replace(bytes: Uint8Array, at: number, length: number, by: Uint8Array): Uint8Array {
  const end = Math.min(bytes.length, at + length);
  const copy = new Uint8Array(at + by.length + bytes.length - end);
  copy.set(bytes.subarray(0, at));
  copy.set(by, at);
  copy.set(bytes.subarray(end), at + by.length);
  return copy;
}
