import type { Libc } from "../../ffi/libc.ts";
import { fixedBytes, LITTLE, viewOf } from "./host.ts";

const CLOCK_MONOTONIC = 1;

/** Now, CLOCK_MONOTONIC, in nanoseconds: the clock of the kernel's process events. */
export function monotonicNs(libc: Libc): bigint {
  const timespec = fixedBytes(16);
  libc.clock_gettime(CLOCK_MONOTONIC, timespec);
  const view = viewOf(timespec);
  return view.getBigInt64(0, LITTLE) * 1_000_000_000n + view.getBigInt64(8, LITTLE);
}
