import { InvalidArgumentError } from "commander";

/** A number from 0 to `largest`, decimal or after 0x hexadecimal. */
export function unsigned(text: string, largest: number): number {
  const number = /^(\d+|0x[\da-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!(number <= largest)) throw new InvalidArgumentError(`It must be a whole number from 0 to ${largest}.`);
  return number;
}

/** A whole number above 0. */
export function positiveInteger(text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}

/** A time in seconds, above 0. */
export function seconds(text: string): number {
  const number = Number(text);
  // Beyond 2^31 ms a timer fires at once.
  if (!/^[\d.]+$/.test(text) || !(number > 0 && number <= 2_000_000)) {
    throw new InvalidArgumentError("It must be a number above 0, up to 2000000.");
  }
  return number;
}
