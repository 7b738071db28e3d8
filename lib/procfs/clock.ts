import type { Libc, ReadCalls } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { readFile, readLink } from "./file.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeText } from "../wire/text.ts";

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;
const NS_PER_SECOND = 1_000_000_000n;
/** How often the wall clock is read at first: a single reading may have been interrupted. */
const FIRST_READINGS = 5;

/** Now, by the clock of the kernel's process events: CLOCK_MONOTONIC of the initial time namespace, in nanoseconds. */
export function monotonicNs(libc: Libc): bigint {
  return clocksOf(libc).monotonicNs();
}

/**
 * How far the clock of start times in /proc (CLOCK_BOOTTIME of this time namespace) is ahead of that of the events: the
 * time spent suspended, and what a time namespace adds.
 */
export function bootOffsetNs(libc: Libc): bigint {
  const clocks = clocksOf(libc);
  return clocks.read(CLOCK_BOOTTIME) - clocks.monotonicNs();
}

/**
 * Turns the kernel's timestamps into wall-clock time.
 *
 * In the kernel CLOCK_REALTIME is CLOCK_MONOTONIC plus an offset that only a step of the clock (settimeofday, the end
 * of a suspend) changes; slewing moves both. Reading one clock between two readings of the other gives bounds for the
 * offset, each reading narrows them, and one that does not fit in shows a step. The lower bound is what counts: it
 * never falls without a step, so the order of the timestamps is the order of the times.
 */
export class WallClock {
  readonly #clocks: KernelClocks;
  #lowNs = 0n;
  #highNs = -1n;
  #offsetMs = 0;
  /** What is older than the last reading before the step has the time that the clock showed then. */
  #beforeStep: { readonly untilNs: bigint; readonly offsetMs: number } | undefined;
  #readNs = 0n;

  /** Reads the clocks: what happened until now has the time that the wall clock shows now. */
  constructor(libc: Libc) {
    this.#clocks = clocksOf(libc);
    for (let i = 0; i < FIRST_READINGS; i++) this.readAgain();
  }

  /** To be called now and then, to notice steps of the clock. Makes three calls of clock_gettime. */
  readAgain(): void {
    const before = this.#clocks.monotonicNs();
    const wall = this.#clocks.read(CLOCK_REALTIME);
    const after = this.#clocks.monotonicNs();
    const low = wall - after;
    const high = wall - before;
    const overlaps = low <= this.#highNs && high >= this.#lowNs;
    if (!overlaps && this.#readNs > 0n) {
      this.#beforeStep = { untilNs: this.#readNs, offsetMs: this.#offsetMs };
    }
    this.#lowNs = overlaps && low < this.#lowNs ? this.#lowNs : low;
    this.#highNs = overlaps && high > this.#highNs ? this.#highNs : high;
    this.#offsetMs = Number(this.#lowNs) / 1e6;
    this.#readNs = before;
  }

  /** The time of a timestamp, in milliseconds since 1970, with a fraction. */
  timeMs(timestampNs: bigint): number {
    const before = this.#beforeStep;
    const offsetMs = before !== undefined && timestampNs <= before.untilNs ? before.offsetMs : this.#offsetMs;
    return Number(timestampNs) / 1e6 + offsetMs;
  }
}

const known = new WeakMap<Libc, KernelClocks>();

function clocksOf(libc: Libc): KernelClocks {
  let clocks = known.get(libc);
  if (clocks === undefined) known.set(libc, clocks = new KernelClocks(libc));
  return clocks;
}

/** The clocks of the system, read into one buffer. */
class KernelClocks {
  readonly #libc: Libc;
  readonly #timespec = fixedBytes(16);
  readonly #view = viewOf(this.#timespec);
  #namespaceOffsetNs: bigint | undefined;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  read(clock: number): bigint {
    this.#libc.clock_gettime(clock, this.#timespec);
    return this.#view.getBigInt64(0, LITTLE) * NS_PER_SECOND + this.#view.getBigInt64(8, LITTLE);
  }

  monotonicNs(): bigint {
    return this.read(CLOCK_MONOTONIC) - (this.namespaceOffsetNs() ?? 0n);
  }

  /** A process keeps its time namespace, and a namespace its offsets: they are read once. */
  namespaceOffsetNs(): bigint | undefined {
    // A failure is not remembered: it may be a momentary lack of descriptors.
    return this.#namespaceOffsetNs ??= timeNamespaceOffsetNs(this.#libc);
  }
}

/**
 * How far CLOCK_MONOTONIC of this time namespace is ahead of the initial one, which stamps the events: 0 in kernels without
 * time namespaces, undefined where it cannot be read at the moment.
 */
export function timeNamespaceOffsetNs(libc: ReadCalls): bigint | undefined {
  const text = readFile(libc, "/proc/self/timens_offsets");
  if (typeof text === "number") return text === -ERRNO["ENOENT"]! ? 0n : undefined;
  const match = /^monotonic\s+(-?\d+)\s+(\d+)$/m.exec(decodeText(text));
  const offset = match === null ? 0n : BigInt(match[1]!) * NS_PER_SECOND + BigInt(match[2]!);
  if (offset === 0n) return 0n;
  // The file describes the namespace of future children: after unshare(2) that is not our own.
  const own = readLink(libc, "/proc/self/ns/time");
  return own === readLink(libc, "/proc/self/ns/time_for_children") ? offset : 0n;
}
