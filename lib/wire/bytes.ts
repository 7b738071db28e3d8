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
