import type { Machine } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import type { ProcEvent, ProcEventKind } from "../protocols/proc/event.ts";
import { ProcWatch, type ProcWatchOptions } from "../protocols/proc/watch.ts";
import { ProcessTable, type ProcessTableOptions, type WithProcess } from "./table.ts";

/** A process event; with the option `processes` it carries what is known of its process. */
export type ProcessEvent = WithProcess<ProcEvent>;

/** An open watch of process events. */
export type ProcessWatch = ProcWatch<ProcessEvent>;

/** What to watch, and how. */
export interface WatchProcessesOptions extends ProcWatchOptions {
  /**
   * Keep a table of the live processes, and give each event what is known of its process: command line, program,
   * user, parent, start. It costs a look at /proc at the start and for each exec. Default false.
   */
  readonly processes?: boolean | ProcessTableOptions | undefined;
}

/** What the table of processes lives on. */
const TABLE_EVENTS: readonly ProcEventKind[] = ["fork", "exec", "exit", "comm", "uid", "sid"];

/** As {@linkcode watchProcesses}, on a given machine. */
export function openProcessWatch(machine: Machine, options: WatchProcessesOptions = {}): ProcessWatch {
  const { processes = false, events: wanted } = options;
  if (processes === false) return new ProcWatch<ProcessEvent>(machine, options);
  const table = new ProcessTable(machine.libc, processes === true ? {} : processes);
  const events = wanted && [...new Set([...wanted, ...TABLE_EVENTS])];
  const kinds: ReadonlySet<string> | undefined = wanted && new Set<string>([...wanted, "lost"]);
  const watch = new ProcWatch<ProcessEvent>(machine, { ...options, events }, {
    eager: true,
    dueMs: () => undefined,
    batch(batch) {
      table.apply(batch);
      return kinds === undefined ? batch : batch.filter((event) => kinds.has(event.type));
    },
  });
  try {
    table.seed();
  } catch (error) {
    watch.close();
    throw error;
  }
  return watch;
}

/**
 * Watches every process of the machine.
 *
 * Resolves once the kernel has acknowledged the subscription: what happens after it is in the stream, or the stream
 * says how much was lost. Needs no privilege from kernel 6.6 on, CAP_NET_ADMIN before.
 *
 * @throws {UnsupportedError} Where the kernel, the namespace, the runtime or its permissions do not allow it: `reason`
 * and the message say which and what to do.
 * @throws {SyscallError} Where a system call fails, as with EPERM before kernel 6.6.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { spawn } from "node:child_process";
 * import { watchProcesses } from "kernel-connector";
 *
 * await using events = await watchProcesses({ events: ["exit"] });
 * const child = spawn("/bin/sh", ["-c", "exit 3"]);
 * for await (const event of events) {
 *   if (event.type === "exit" && event.pid === child.pid) {
 *     assert.equal(event.exitCode, 3);
 *     break;
 *   }
 * }
 * ```
 */
export async function watchProcesses(options: WatchProcessesOptions = {}): Promise<ProcessWatch> {
  return openProcessWatch(await openMachine("watch processes"), options);
}
