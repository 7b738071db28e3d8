import type { Libc } from "../../../ffi/libc.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";

/** Offsets in `struct sched_attr` (include/uapi/linux/sched/types.h). */
const SCHED_ATTR = { size: 0, flags: 8, nice: 16, runtime: 24, SIZE: 48 } as const;
const SCHED_FLAG_KEEP_POLICY = 0x08n;
/** The shortest that the kernel grants. */
const SLICE_NS = 100_000n;

/**
 * Asks the scheduler for short time slices. A thread that wakes up then preempts a running one with longer slices, as
 * all have by default, instead of waiting for its end: a program that lives for half a millisecond is there to be read.
 * Needs no privilege. Before Linux 6.12, and under a real-time policy, nothing changes.
 */
export function shortenTimeSlice(libc: Libc): void {
  const attributes = fixedBytes(SCHED_ATTR.SIZE);
  const view = viewOf(attributes);
  view.setUint32(SCHED_ATTR.size, SCHED_ATTR.SIZE, LITTLE);
  view.setBigUint64(SCHED_ATTR.flags, SCHED_FLAG_KEEP_POLICY, LITTLE);
  view.setInt32(SCHED_ATTR.nice, libc.nice(), LITTLE);
  view.setBigUint64(SCHED_ATTR.runtime, SLICE_NS, LITTLE);
  libc.sched_setattr(attributes); // where it is refused, everything works, only later
}
