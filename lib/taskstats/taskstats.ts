import { DecodeError } from "../errors/decode_error.ts";
import { LITTLE } from "../wire/bytes.ts";

/**
 * Byte offsets in `struct taskstats` (include/uapi/linux/taskstats.h). Versions only add at the end; all of these are
 * in version 8, of Linux 2.6.33, and SIZE is where they end.
 */
export const TASKSTATS = {
  version: 0,
  ac_exitcode: 4,
  ac_flag: 8,
  cpu_count: 16,
  cpu_delay_total: 24,
  blkio_delay_total: 40,
  swapin_delay_total: 56,
  cpu_run_virtual_total: 72,
  ac_comm: 80,
  ac_uid: 120,
  ac_gid: 124,
  ac_pid: 128,
  ac_ppid: 132,
  ac_etime: 144,
  ac_utime: 152,
  ac_stime: 160,
  ac_minflt: 168,
  ac_majflt: 176,
  hiwater_rss: 200,
  read_bytes: 248,
  write_bytes: 256,
  nvcsw: 272,
  nivcsw: 280,
  SIZE: 288,
} as const;

/** A tick of the scheduler at 100 Hz, the lowest rate of a kernel. */
const LONGEST_TICK_NS = 10_000_000;

/** What the kernel has counted of one task, a thread, until its end. Times are sums over its life. */
export interface Taskstats {
  /** Time on a processor, in nanoseconds. */
  cpuNs: number;
  /** `cpu_run_virtual_total`: as `cpuNs`, up to the last time that the scheduler looked, up to a tick ago. */
  scheduledNs: number;
  /** `ac_utime`, in microseconds: by ticks of the clock. */
  userUs: number;
  /** `ac_stime`, in microseconds: by ticks of the clock. */
  systemUs: number;
  /** `cpu_delay_total`: time spent ready to run, without a processor, in nanoseconds. */
  runDelayNs: number;
  /** `blkio_delay_total`: time spent waiting for block devices, in nanoseconds. Only where delays are accounted for. */
  blockIoDelayNs: number;
  /** `hiwater_rss` in bytes: the most memory that its address space ever had resident. */
  peakRssBytes: number;
  /** `read_bytes`: read from storage. */
  readBytes: number;
  /** `write_bytes`: to be written to storage. */
  writeBytes: number;
  /** `ac_minflt`. */
  minorFaults: number;
  /** `ac_majflt`. */
  majorFaults: number;
  /** `nvcsw`. */
  voluntarySwitches: number;
  /** `nivcsw`. */
  involuntarySwitches: number;
}

/** The members of 64 bits that are read, in the order of {@linkcode decodeTaskstats}. */
const NUMBERS = [
  TASKSTATS.cpu_run_virtual_total,
  TASKSTATS.cpu_delay_total,
  TASKSTATS.nvcsw,
  TASKSTATS.ac_etime,
  TASKSTATS.ac_utime,
  TASKSTATS.ac_stime,
  TASKSTATS.blkio_delay_total,
  TASKSTATS.hiwater_rss,
  TASKSTATS.read_bytes,
  TASKSTATS.write_bytes,
  TASKSTATS.ac_minflt,
  TASKSTATS.ac_majflt,
  TASKSTATS.nivcsw,
] as const;
/** Where the halves of a number are. */
const LOW: number = LITTLE ? 0 : 4;
const HIGH: number = 4 - LOW;
/** The numbers of one structure; beyond 2^53 they are rounded. */
const numbers: Float64Array = new Float64Array(NUMBERS.length);

/**
 * Decodes a `struct taskstats` of any version from 8 on, between two offsets.
 *
 * The numbers are read in a loop: written out, this one function took the compilers of Bun longer than all else.
 */
export function decodeTaskstats(view: DataView, at: number, end: number): Taskstats {
  if (end - at < TASKSTATS.SIZE) throw new DecodeError("struct taskstats", TASKSTATS.SIZE, end - at);
  for (let i = 0; i < NUMBERS.length; i++) {
    const from = at + NUMBERS[i]!;
    numbers[i] = view.getUint32(from + HIGH, LITTLE) * 2 ** 32 + view.getUint32(from + LOW, LITTLE);
  }
  const scheduledNs = numbers[0]!;
  const runDelayNs = numbers[1]!;
  const voluntarySwitches = numbers[2]!;
  // A task that never slept was running whenever it was not waiting for a processor. The scheduler's own sum lags behind
  // that by up to a tick: of a short task it may have nothing. What is beyond a tick was interrupts or a hypervisor's.
  const ranNs = voluntarySwitches === 0 ? numbers[3]! * 1000 - runDelayNs : 0;
  const isPlausible = ranNs > scheduledNs && ranNs - scheduledNs <= LONGEST_TICK_NS;
  return {
    cpuNs: isPlausible ? ranNs : scheduledNs,
    scheduledNs,
    userUs: numbers[4]!,
    systemUs: numbers[5]!,
    runDelayNs,
    blockIoDelayNs: numbers[6]!,
    peakRssBytes: numbers[7]! * 1024,
    readBytes: numbers[8]!,
    writeBytes: numbers[9]!,
    minorFaults: numbers[10]!,
    majorFaults: numbers[11]!,
    voluntarySwitches,
    involuntarySwitches: numbers[12]!,
  };
}
