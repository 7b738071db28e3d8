import type { CbId } from "./message.ts";

/** An identifier as people and /proc/net/connector write it: `"20:1"`. */
export function idText(id: CbId): string {
  return `${id.idx}:${id.val}`;
}

/** Whether two identifiers are the same. */
export function sameId(a: CbId, b: CbId): boolean {
  return a.idx === b.idx && a.val === b.val;
}

/** Refuses numbers that the header's fields cannot hold. `action` completes "Cannot …". */
export function checkId(id: CbId, action: string): void {
  checkU32(id.idx, "idx", action);
  checkU32(id.val, "val", action);
}

/** Refuses what is not an unsigned number of 32 bits. */
export function checkU32(value: number, what: string, action: string): void {
  checkUnsigned(value, 0xffff_ffff, what, action);
}

/** Refuses what is not an unsigned number of 16 bits. */
export function checkU16(value: number, what: string, action: string): void {
  checkUnsigned(value, 0xffff, what, action);
}

function checkUnsigned(value: number, largest: number, what: string, action: string): void {
  if (Number.isInteger(value) && value >= 0 && value <= largest) return;
  throw new RangeError(
    `Cannot ${action}: ${what} must be a whole number from 0 to ${largest}, and is ${value}`,
  );
}
