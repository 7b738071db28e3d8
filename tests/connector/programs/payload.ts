/** What the three programs say to each other, in little-endian words. */

/** A question: a number, and whether the service shall be late with its answer. */
export function question(number: number, late: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, number, true);
  view.setUint32(4, late ? 1 : 0, true);
  return bytes;
}

/** The word at `index`. */
export function word(data: Uint8Array, index: number): number {
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(index * 4, true);
}

/** The only right answer to a number, long enough that none comes by chance. */
export function answer(number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, number, true);
  view.setUint32(4, Math.imul(number, 2654435761) >>> 0, true);
  view.setUint32(8, ~number >>> 0, true);
  return bytes;
}

/** What the service lets slip to the intruder: all that a forger needs to know. */
export function leak(port: number, seq: number, ack: number, number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  [port, seq, ack, number].forEach((value, i) => view.setUint32(i * 4, value, true));
  return bytes;
}
