import { checkObject, checkU32 } from "../errors/arguments.ts";
import type { CbId } from "./message.ts";

/** An identifier as people and /proc/net/connector write it: `"20:1"`. */
export function idText(id: CbId): string {
  return `${id.idx}:${id.val}`;
}

/** Whether two identifiers are the same. */
export function sameId(a: CbId, b: CbId): boolean {
  return a.idx === b.idx && a.val === b.val;
}

/** Refuses what is no identifier. */
export function checkId(id: unknown, name: string, action: string): void {
  checkObject(id, name, action);
  const { idx, val } = id as CbId;
  checkU32(idx, `${name}.idx`, action);
  checkU32(val, `${name}.val`, action);
}
