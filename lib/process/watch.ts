import type { Machine } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import { ProcWatch, type ProcWatchOptions } from "../protocols/proc/watch.ts";

/** Opens a watch of process events on a machine. */
export function openProcessWatch(machine: Machine, options: ProcWatchOptions = {}): ProcWatch {
  return new ProcWatch(machine, options, undefined);
}

/** Watches every process of the machine. */
export async function watchProcesses(options: ProcWatchOptions = {}): Promise<ProcWatch> {
  return openProcessWatch(await openMachine("watch processes"), options);
}
