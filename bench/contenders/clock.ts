import process from "node:process";
import { openSystem } from "../../lib/system.ts";

const CLOCK_MONOTONIC = 1;
const TRIES = 50;

/**
 * CLOCK_MONOTONIC in nanoseconds, read by the runtime's own fast clock. Bun's and Deno's count from the start of the
 * process; the offset is measured once.
 */
export async function monotonicClock(): Promise<() => bigint> {
  const { libc } = await openSystem("Cannot read the clock");
  const timespec = new Uint8Array(new ArrayBuffer(16));
  const words = new BigInt64Array(timespec.buffer);
  let offset = 0n;
  let narrowest = 1n << 62n;
  for (let i = 0; i < TRIES; i++) {
    const before = process.hrtime.bigint();
    libc.clock_gettime(CLOCK_MONOTONIC, timespec);
    const after = process.hrtime.bigint();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    offset = words[0]! * 1_000_000_000n + words[1]! - (before + after) / 2n;
  }
  return () => process.hrtime.bigint() + offset;
}
