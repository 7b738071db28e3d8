import { hostname } from "node:os";
import type { Libc } from "../../ffi/libc.ts";
import { readTextFile } from "../procfs/file.ts";

/** The machine and its boot, as they are recorded. */
export interface Machine {
  /** /etc/machine-id; undefined if there is none. */
  readonly machineId: string | undefined;
  readonly name: string;
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId: string;
  readonly kernel: string;
  /** When it was booted, in microseconds since 1970. */
  readonly bootedUs: number;
}

/** Reads what this machine is. */
export function readMachine(libc: Libc): Machine {
  const read = (path: string): string | undefined => readTextFile(libc, path)?.trim() || undefined;
  const bootedSeconds = /^btime (\d+)$/m.exec(read("/proc/stat") ?? "")?.[1];
  return {
    machineId: read("/etc/machine-id"),
    name: hostname(),
    bootId: read("/proc/sys/kernel/random/boot_id") ?? "unknown",
    kernel: read("/proc/sys/kernel/osrelease") ?? "unknown",
    bootedUs: Number(bootedSeconds ?? 0) * 1_000_000,
  };
}
