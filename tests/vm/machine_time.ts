// How long a process could go on: the time that passed, less the time that it waited for a processor.
// Limits count this time, so that they mean the same on a machine that has others to serve.

import { readdirSync, readFileSync } from "node:fs";

/** Counts the seconds that a process was given, from now on. */
export class MachineTime {
  readonly #pid: number;
  readonly #started: number = performance.now();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Seconds since the start, less what the thread that waited longest for a processor has waited. */
  seconds(): number {
    return (performance.now() - this.#started) / 1000 - longestWaitSeconds(this.#pid);
  }
}

/** 0 where the kernel does not count it, or the process has ended. */
function longestWaitSeconds(pid: number): number {
  let longest = 0;
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      // Nanoseconds that it ran, nanoseconds that it waited to run, number of times that it ran.
      const [, waited] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      longest = Math.max(longest, Number(waited) / 1e9);
    }
  } catch {
    // a thread that has just ended, or a kernel without CONFIG_SCHED_INFO
  }
  return longest;
}
