/**
 * The same memory in elements of several sizes, in the host's order: to read a number out of an array costs a compiler
 * and a processor less than out of a DataView. A number must be at a multiple of its size.
 */
export interface Memory {
  readonly bytes: Uint8Array;
  readonly halves: Uint16Array;
  readonly words: Uint32Array;
  readonly longs: BigUint64Array;
}

/** All of a buffer, whose size is a multiple of 8. */
export function memoryOf(bytes: Uint8Array): Memory {
  const { buffer } = bytes;
  return {
    bytes,
    halves: new Uint16Array(buffer),
    words: new Uint32Array(buffer),
    longs: new BigUint64Array(buffer),
  };
}
