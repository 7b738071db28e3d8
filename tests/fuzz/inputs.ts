import * as fc from "fast-check";
import type { Target } from "./judge.ts";

const MAX_BYTES = 4096;

/** Numbers at which programs go wrong: the edges of types, and sizes of structures. */
const EDGES: readonly number[] = [0, 1, 4, 12, 16, 20, 36, 60, 64, 128, 255, 256, 332, 1024, 4096, 7432]
  .concat([0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff]);

/** A change: bytes that are put at a place, over what was there or in place of so many bytes. */
type Edit = readonly [at: number, bytes: Uint8Array, removed: number | undefined];

/** What is like the target's seeds, but changed in a few places; and now and then anything. */
export function inputs(target: Target): fc.Arbitrary<Uint8Array> {
  const { seeds, words = [], maxBytes = MAX_BYTES } = target;
  const number = fc.tuple(
    fc.constantFrom(...EDGES),
    fc.integer({ min: -1, max: 1 }),
    fc.constantFrom(2, 4, 8),
  )
    .map(([edge, off, size]) => littleEndian(edge + off, size));
  const part = fc.tuple(fc.constantFrom(...seeds), fc.nat(MAX_BYTES), fc.nat(64))
    .map(([seed, at, length]) => seed.subarray(at % (seed.length + 1)).subarray(0, length));
  const bytes = fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 4 }) },
    { weight: 3, arbitrary: number },
    { weight: 1, arbitrary: part },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
    ...(words.length > 0 ? [{ weight: 3, arbitrary: fc.constantFrom(...words) }] : []),
  );
  const removed = fc.oneof(fc.constant(undefined), fc.nat(16), fc.nat(MAX_BYTES));
  const edits = fc.array(fc.tuple(fc.nat(MAX_BYTES), bytes, removed), { maxLength: 8 });
  const base = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    { weight: 9, arbitrary: fc.constantFrom(...seeds) },
  );
  // The first of both is what a failing input is made shorter by.
  const length = fc.oneof(
    { withCrossShrink: true },
    { weight: 1, arbitrary: fc.nat(maxBytes) },
    { weight: 5, arbitrary: fc.constant(maxBytes) },
  );
  return fc.tuple(length, base, edits).map(([length, seed, edits]) =>
    edits.reduce(edited, seed).slice(0, length)
  );
}

function edited(bytes: Uint8Array, [place, put, removed = put.length]: Edit): Uint8Array {
  const at = place % (bytes.length + 1);
  const rest = bytes.subarray(Math.min(at + removed, bytes.length));
  const result = new Uint8Array(at + put.length + rest.length);
  result.set(bytes.subarray(0, at));
  result.set(put, at);
  result.set(rest, at + put.length);
  return result;
}

function littleEndian(value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  new DataView(bytes.buffer).setUint16(0, value, true);
  if (size >= 4) new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
