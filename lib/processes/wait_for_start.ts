import { openSystem } from "../system.ts";
import { checkOptions, checkSignal, type OptionChecks } from "../errors/arguments.ts";
import type { ProcessFilter, ProcessPatterns } from "./filter.ts";
import type { ProcessInfo } from "./info.ts";
import { openInstances } from "./instances.ts";
import { checkWatchOptions } from "./options.ts";
import type { WaitOptions } from "./wait_for_exit.ts";

const ACTION = "wait for a start";
const OPTIONS: OptionChecks<WaitOptions> = { signal: checkSignal };

/**
 * Waits until a process runs that matches: one that does already, or else the next that starts. This process is none of
 * them.
 *
 * A program starts when it is executed, not when its parent is copied. A short-lived one may have ended by the time the
 * promise resolves.
 *
 * @throws {TypeError} If the filter is empty, has the wrong type, or can never match.
 * @throws {UnsupportedError} Where process events cannot be watched.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { waitForStart } from "kernel-connector";
 *
 * const started = waitForStart({ name: "sleep", commandLine: "0.0625" });
 * const child = spawn("sleep", ["0.0625"]);
 * assert.equal((await started).pid, child.pid);
 * ```
 */
export async function waitForStart(
  filter: ProcessPatterns & Pick<ProcessFilter, "exclude">,
  options: WaitOptions = {},
): Promise<ProcessInfo> {
  checkWatchOptions(filter, ACTION);
  checkOptions(options, OPTIONS, ACTION);
  if (!Object.values(filter).some((pattern) => pattern !== undefined)) {
    throw new TypeError(`Cannot ${ACTION}: the filter is empty, and every process would match`);
  }
  const { signal } = options;
  const system = openSystem(ACTION);
  const self = system.libc.getpid();
  const { events, instances: [instances] } = openInstances(system, [filter], { signal }, ACTION);
  try {
    for await (const event of events) {
      if (event.pid === self) continue;
      const change = instances!.apply(event);
      if (change?.what === "start") return change.process;
    }
  } finally {
    await events.close();
  }
  throw new Error(`Cannot ${ACTION}: the watch has ended`);
}
