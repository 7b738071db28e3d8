import { InvalidArgumentError } from "commander";
import { hexBytes } from "../bus/arguments.ts";
import { unsigned } from "../../arguments/numbers.ts";

/** Whom a command is for: a bus master or a slave. */
export type W1Target = { readonly master: number } | { readonly slave: string };

/** The kernel takes messages up to 16,364 bytes, of which two headers take 16. */
const MAX_BYTES = 16_348;

/** The number of a bus master, also as sysfs names it: `1`, `w1_bus_master1`. */
export function masterNumber(text: string): number {
  const number = /^(?:w1_bus_master)?(\d+)$/.exec(text)?.[1];
  if (number === undefined) throw new InvalidArgumentError("It must be the number of a bus master, as 1.");
  return unsigned(number, 2 ** 32 - 1);
}

/** A slave as sysfs prints it, in lower case. */
export function slaveId(text: string): string {
  if (!/^[\da-f]{2}-[\da-f]{12}$/i.test(text)) {
    throw new InvalidArgumentError("It must be a slave as sysfs prints it, as 28-0000deadbe01.");
  }
  return text.toLowerCase();
}

/** A bus master or a slave. */
export function w1Target(text: string): W1Target {
  if (/^(w1_bus_master)?\d+$/.test(text)) return { master: masterNumber(text) };
  if (/^[\da-f]{2}-[\da-f]{12}$/i.test(text)) return { slave: slaveId(text) };
  throw new InvalidArgumentError(
    "It must be the number of a bus master, as 1, or a slave, as 28-0000deadbe01.",
  );
}

/** How many bytes are read at once. */
export function byteCount(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(number >= 1 && number <= MAX_BYTES)) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${MAX_BYTES}.`);
  }
  return number;
}

/** At least one byte, in hexadecimal digits. */
export function w1Bytes(text: string): Uint8Array {
  const bytes = hexBytes(text);
  if (bytes.length === 0) throw new InvalidArgumentError("It must be at least one byte.");
  if (bytes.length > MAX_BYTES) {
    throw new InvalidArgumentError(`It must be at most ${MAX_BYTES} bytes.`);
  }
  return bytes;
}
