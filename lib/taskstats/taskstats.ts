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

/** Decodes a `struct taskstats` of any version from 8 on, between two offsets. */
export function decodeTaskstats(view: DataView, at: number, end: number): Taskstats {
  if (end - at < TASKSTATS.SIZE) throw new DecodeError("struct taskstats", TASKSTATS.SIZE, end - at);
  const scheduledNs = u64(view, at + TASKSTATS.cpu_run_virtual_total);
  const runDelayNs = u64(view, at + TASKSTATS.cpu_delay_total);
  const voluntarySwitches = u64(view, at + TASKSTATS.nvcsw);
  // A task that never slept was running whenever it was not waiting for a processor. The scheduler's own sum lags behind
  // that by up to a tick: of a short task it may have nothing. What is beyond a tick was interrupts or a hypervisor's.
  const ranNs = voluntarySwitches === 0 ? u64(view, at + TASKSTATS.ac_etime) * 1000 - runDelayNs : 0;
  const isPlausible = ranNs > scheduledNs && ranNs - scheduledNs <= LONGEST_TICK_NS;
  return {
    cpuNs: isPlausible ? ranNs : scheduledNs,
    scheduledNs,
    userUs: u64(view, at + TASKSTATS.ac_utime),
    systemUs: u64(view, at + TASKSTATS.ac_stime),
    runDelayNs,
    blockIoDelayNs: u64(view, at + TASKSTATS.blkio_delay_total),
    peakRssBytes: u64(view, at + TASKSTATS.hiwater_rss) * 1024,
    readBytes: u64(view, at + TASKSTATS.read_bytes),
    writeBytes: u64(view, at + TASKSTATS.write_bytes),
    minorFaults: u64(view, at + TASKSTATS.ac_minflt),
    majorFaults: u64(view, at + TASKSTATS.ac_majflt),
    voluntarySwitches,
    involuntarySwitches: u64(view, at + TASKSTATS.nivcsw),
  };
}

/** A number of 64 bits; beyond 2^53 rounded. */
function u64(view: DataView, at: number): number {
  const [low, high] = LITTLE ? [at, at + 4] : [at + 4, at];
  return view.getUint32(high, LITTLE) * 2 ** 32 + view.getUint32(low, LITTLE);
}
