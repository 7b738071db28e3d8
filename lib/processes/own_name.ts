import type { Libc } from "../../ffi/libc.ts";
import { fixedBytes } from "../wire/bytes.ts";

const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const TASK_COMM_LEN = 16;

/** Sets this thread's name to what it already is: nothing changes, but the kernel sends a comm event for it. */
export function emitCommEvent(libc: Libc): void {
  const name = fixedBytes(TASK_COMM_LEN);
  if (libc.prctl(PR_GET_NAME, name) >= 0) libc.prctl(PR_SET_NAME, name);
}
