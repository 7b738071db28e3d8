import type { Libc } from "../../ffi/libc.ts";
import { openSystem } from "../../ffi/open.ts";

/** The C library for what the command itself needs of the system; undefined where the runtime has none to give. */
export function systemLibc(): Libc | undefined {
  try {
    return openSystem("write the output").libc;
  } catch {
    return undefined; // whatever cannot do without says why
  }
}
