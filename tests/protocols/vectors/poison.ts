import assert from "node:assert/strict";
import { DecodeError } from "../../../lib/errors/decode_error.ts";

/** The same bytes inside a larger buffer that is filled with `poison`. */
export function amid(poison: number, bytes: Uint8Array): Uint8Array {
  const before = 13; // odd, so that nothing is aligned
  const around = new Uint8Array(before + bytes.length + 5000).fill(poison);
  around.set(bytes, before);
  return around.subarray(before, before + bytes.length);
}

/**
 * Decodes twice, with different bytes around the input: a decoder that reads outside gets different results. Returns the
 * result or the DecodeError; any other error fails the test.
 */
export function decodeAmidPoison<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T | DecodeError {
  const [one, two] = [0x00, 0xff].map((poison) => {
    try {
      return decode(amid(poison, bytes));
    } catch (error) {
      if (error instanceof DecodeError) return error;
      throw error;
    }
  });
  if (one instanceof DecodeError) {
    assert.ok(two instanceof DecodeError);
    assert.equal(two.message, one.message);
  } else {
    assert.deepEqual(plain(two), plain(one));
  }
  return one!;
}

/** Bytes as arrays: a view compares equal only with its surroundings in some runtimes. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}
