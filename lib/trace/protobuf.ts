import { encodeText } from "../wire/text.ts";

/** Writes the wire format of protocol buffers: fields one after the other, messages by their length. */
export class ProtobufWriter {
  #bytes: Uint8Array = new Uint8Array(256);
  #length = 0;

  /** What was written, valid until the next write. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew. */
  clear(): void {
    this.#length = 0;
  }

  /** A field of type uint32, uint64, int64, bool or an enum. */
  varint(field: number, value: number | bigint): void {
    this.#key(field, 0);
    this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  /** A field of type double. */
  double(field: number, value: number): void {
    this.#key(field, 1);
    this.#reserve(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** A field of type string. */
  text(field: number, text: string): void {
    this.message(field, encodeText(text));
  }

  /** A field that is a message, or bytes. */
  message(field: number, bytes: Uint8Array): void {
    this.#key(field, 2);
    this.#varint(BigInt(bytes.length));
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #key(field: number, type: number): void {
    this.#varint(BigInt(field * 8 + type));
  }

  #varint(value: bigint): void {
    this.#reserve(10);
    let rest = value;
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
