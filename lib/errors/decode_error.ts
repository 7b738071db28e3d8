/**
 * Bytes that are not the structure they were taken for: too short, or their length field is larger than the data.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeCnMsg, DecodeError } from "kernel-connector/codec";
 *
 * const short = new DataView(new ArrayBuffer(8));
 * assert.throws(() => decodeCnMsg(short, 0, 8), DecodeError);
 * ```
 */
export class DecodeError extends RangeError {
  /** Always `"DecodeError"`. */
  override readonly name = "DecodeError";
  /** The C structure, or the part of it, that did not fit. */
  readonly structure: string;
  /** Bytes that it needs. */
  readonly neededBytes: number;
  /** Bytes that there were. */
  readonly foundBytes: number;

  /** Says which structure needed how many bytes and how many were found. */
  constructor(structure: string, neededBytes: number, foundBytes: number) {
    super(`Cannot decode ${structure}: needs ${neededBytes} bytes, found ${foundBytes}`);
    this.structure = structure;
    this.neededBytes = neededBytes;
    this.foundBytes = foundBytes;
  }
}
