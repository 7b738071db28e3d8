/** Whether this host is little-endian, as a `DataView` call wants it: the connector speaks the host's byte order. */
export const LITTLE: boolean = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/**
 * Bytes whose address never changes: a buffer that C code may be given.
 *
 * Not `new Uint8Array(n)`: a runtime may keep small ones inside its own heap and move them when `.buffer` is touched.
 */
export function fixedBytes(size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(size));
}

/** A view of all of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

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
export function memoryOf(bytes: Uint8Array<ArrayBuffer>): Memory {
  const { buffer } = bytes;
  return {
    bytes,
    halves: new Uint16Array(buffer),
    words: new Uint32Array(buffer),
    longs: new BigUint64Array(buffer),
  };
}
