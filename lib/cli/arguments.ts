import { InvalidArgumentError, Option } from "commander";
import type { CbId } from "../../mod.ts";
import { MOST_PARENTS } from "../processes/info.ts";

const MAX_U32 = 2 ** 32 - 1;
const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const LEAST_BYTES = 2 ** 20;

/** An option that takes one or more of `values`, separated by commas. */
export class ListOption extends Option {
  readonly values: readonly string[];

  constructor(flags: string, description: string, values: readonly string[]) {
    super(flags, `${description}: ${values.join(", ")}`);
    this.values = values;
  }
}

/** A number from 0 to `largest`, decimal, or hexadecimal with 0x. */
export function unsigned(text: string, largest: number): number {
  const number = /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!(number <= largest)) throw new InvalidArgumentError(`It must be a whole number from 0 to ${largest}.`);
  return number;
}

/** A 32-bit number. */
export function unsigned32(text: string): number {
  return unsigned(text, MAX_U32);
}

/** A whole number above 0. */
export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

/** A parser that collects the values of a repeated option. */
export function list<Value>(
  parse: (text: string) => readonly Value[],
): (text: string, before?: readonly Value[]) => readonly Value[] {
  return (text, before = []) => [...before, ...parse(text)];
}

/** A text that is not empty. */
export function text(value: string): readonly string[] {
  if (value === "") throw new InvalidArgumentError("It must not be empty.");
  return [value];
}

/** A number of generations of parents. */
export function generations(text: string): number {
  const number = positiveInteger(text);
  if (number > MOST_PARENTS) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${MOST_PARENTS}.`);
  }
  return number;
}

/** A time in seconds, above 0. */
export function seconds(text: string): number {
  const number = Number(text);
  // A timer of more than 2^31 ms fires immediately.
  if (!/^[\d.]+$/.test(text) || !(number > 0 && number <= 2_000_000)) {
    throw new InvalidArgumentError("It must be a number above 0, up to 2000000.");
  }
  return number;
}

/** The number of a process. */
export function processId(value: string): number {
  if (!/^[1-9]\d{0,9}$/.test(value) || Number(value) >= 2 ** 31) {
    throw new InvalidArgumentError("It must be a process id.");
  }
  return Number(value);
}

/** An identifier in the form `20:1`; either half may be hexadecimal. */
export function identifier(text: string): CbId {
  const [idx, val, ...more] = text.split(":");
  if (val === undefined || more.length > 0) {
    throw new InvalidArgumentError("It must be IDX:VAL, such as 20:1.");
  }
  return { idx: unsigned32(idx!), val: unsigned32(val) };
}

/** The number of a multicast group. */
export function groupNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(number >= 1 && number <= 32)) {
    throw new InvalidArgumentError("It must be a whole number from 1 to 32.");
  }
  return number;
}

/** Bytes from pairs of hexadecimal digits, which may be separated by spaces, colons or commas. */
export function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/[\s:,]/g, "");
  if (!/^([\da-f]{2})*$/i.test(digits)) {
    throw new InvalidArgumentError("It must be pairs of hexadecimal digits.");
  }
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** A number of days. */
export function days(text: string): number {
  const number = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || !(number > 0 && number <= 100_000)) {
    throw new InvalidArgumentError("It must be a number of days above 0.");
  }
  return number;
}

/** A size in bytes, as 500M. */
export function size(text: string): number {
  const match = /^(\d+)([KMGT])?$/i.exec(text);
  const bytes = match === null ? NaN : Number(match[1]) * (UNITS[match[2]?.toUpperCase() ?? ""] ?? 1);
  if (!(bytes >= LEAST_BYTES && bytes <= 2 ** 50)) {
    throw new InvalidArgumentError("It must be a size of at least 1M, such as 500M or 2G.");
  }
  return bytes;
}
