import type { System } from "../../ffi/libc.ts";
import { formatExplanation } from "../errors/advice.ts";
import { TaskstatsListener } from "../taskstats/listener.ts";
import { explainTaskstatsRefusal } from "../taskstats/explain_refusal.ts";
import type { Taskstats } from "../taskstats/taskstats.ts";
import type { ExitEvent } from "./event.ts";
import type { Stage } from "./pipeline.ts";
import type { ProcessWatchStats } from "./stats.ts";

/**
 * What a process has used, from its start to its end: the sum over its threads, as the kernel counted it (`struct
 * taskstats`, include/uapi/linux/taskstats.h).
 */
export interface ProcessUsage {
  /**
   * Time on a processor, in nanoseconds, until the exit began. To release memory and files is not in it: less than 0.1 ms
   * for a small program, and about 0.2 ms for each MiB that was still resident. Of a thread that has slept, up to one tick of the scheduler (4 ms at 250 Hz) may be missing.
   */
  readonly cpuNs: number;
  /** The part of `cpuNs` in user space, in nanoseconds. The kernel measures the ratio by ticks of its clock. */
  readonly userNs: number;
  /** The part of `cpuNs` in the kernel, in nanoseconds. */
  readonly systemNs: number;
  /** Time that its threads were ready to run and had no processor, in nanoseconds. */
  readonly runDelayNs: number;
  /**
   * Time that its threads waited for block devices, in nanoseconds. Undefined where the kernel does not measure it: from
   * Linux 5.14 on, unless the sysctl `kernel.task_delayacct` is 1.
   */
  readonly blockIoDelayNs: number | undefined;
  /** The most memory that was ever resident, in bytes, of its last program. */
  readonly peakRssBytes: number;
  /** Bytes read from storage. */
  readonly readBytes: number;
  /** Bytes written, or to be written, to storage. */
  readonly writeBytes: number;
  /** Page faults that needed no storage. */
  readonly minorFaults: number;
  /** Page faults that waited for storage. */
  readonly majorFaults: number;
  /** How often its threads gave their processor away. */
  readonly voluntarySwitches: number;
  /** How often a processor was taken from its threads. */
  readonly involuntarySwitches: number;
  /** How many threads are in the sums. */
  readonly threads: number;
  /**
   * Whether threads are missing from the sums, but for `cpuNs`: they ended before the watch began, or what the kernel sent of
   * them was lost.
   */
  readonly incomplete: boolean;
}

/** Where the usage of processes came from. */
type UsageStats = NonNullable<ProcessWatchStats["usage"]>;

/** Tasks without an exit event, and processes without an end, that are remembered: their events were lost. */
const LIMIT = 65_536;

/** Sums over the threads of a process that have ended. */
interface Sum extends Taskstats {
  threads: number;
}

/**
 * Gives each exit of a process its usage. It is two stages around the one that distinguishes the exits of processes from
 * those of threads: each thread is added to its process by the exit event that the kernel sent.
 */
export class UsageAccounts {
  readonly #tasks = new Map<number, { readonly task: Taskstats; readonly group: Taskstats | undefined }>();
  readonly #sums = new Map<number, Sum>();
  /** What all threads of a process took, by the message of the last one. */
  readonly #groups = new Map<number, Taskstats>();
  #listener: TaskstatsListener | undefined;
  #refusal: string | undefined;
  #known = 0;
  #unknown = 0;
  #lost = 0;
  /** Before threads are distinguished from processes. */
  readonly collect: Stage;
  /** After that. */
  readonly attach: Stage;

  constructor(system: System, action: string) {
    this.collect = {
      start: () => {
        try {
          this.#listener = TaskstatsListener.open(system, action);
        } catch (error) {
          this.#refusal = formatExplanation(explainTaskstatsRefusal(error));
        }
      },
      process: (batch) => {
        if (this.#listener === undefined || batch.length === 0) return batch;
        this.#listener.receive((tid, task, group) => remember(this.#tasks, tid, { task, group }));
        for (const event of batch) {
          if (event.type === "exit") this.#collect(event);
          else if (event.type === "fork" && !event.thread) this.#forget(event.pid);
        }
        return batch;
      },
      stats: () => ({ usage: this.#stats() }),
      close: () => {
        this.#lost = this.#listener?.lost ?? 0;
        this.#listener?.[Symbol.dispose]();
        this.#listener = undefined;
      },
    };
    this.attach = {
      process: (batch) => {
        for (const event of batch) if (event.type === "exit" && !event.thread) this.#attach(event);
        return batch;
      },
    };
  }

  /** Pids are reused: if the exit of an earlier process was lost, its threads are not those of the new one. */
  #forget(pid: number): void {
    this.#sums.delete(pid);
    this.#groups.delete(pid);
  }

  #collect({ pid, tid }: ExitEvent): void {
    const found = this.#tasks.get(tid);
    if (found === undefined) return;
    this.#tasks.delete(tid);
    const { task, group } = found;
    if (group !== undefined) remember(this.#groups, pid, group);
    const sum = this.#sums.get(pid);
    if (sum === undefined) remember(this.#sums, pid, Object.assign(task, { threads: 1 }));
    else addTask(sum, task);
  }

  #attach(event: ExitEvent): void {
    const { pid } = event;
    const sum = this.#sums.get(pid);
    if (sum === undefined) {
      this.#unknown++;
      return;
    }
    this.#known++;
    const group = this.#groups.get(pid);
    this.#forget(pid);
    (event as { usage?: ProcessUsage }).usage = usageOf(sum, group, this.#listener?.hasDelays === true);
  }

  #stats(): UsageStats {
    return {
      known: this.#known,
      unknown: this.#unknown,
      lost: this.#listener?.lost ?? this.#lost,
      refusal: this.#refusal,
    };
  }
}

/** Puts a value into a map of limited size, in place of the oldest one if it is full. */
function remember<Value>(map: Map<number, Value>, key: number, value: Value): void {
  if (map.size >= LIMIT) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
  map.set(key, value);
}

function addTask(sum: Sum, task: Taskstats): void {
  sum.threads++;
  // The address space is one for all threads.
  const peakRssBytes = Math.max(sum.peakRssBytes, task.peakRssBytes);
  for (const key of Object.keys(task) as (keyof Taskstats)[]) sum[key] += task[key];
  sum.peakRssBytes = peakRssBytes;
}

/** Written out, as it is done for every process that ends. */
function usageOf(sum: Sum, group: Taskstats | undefined, hasDelays: boolean): ProcessUsage {
  const { userUs, systemUs } = sum;
  const cpuNs = group === undefined ? sum.cpuNs : Math.max(sum.cpuNs, group.cpuNs);
  const systemNs = systemUs === 0 ? 0 : Math.round(cpuNs * systemUs / (userUs + systemUs));
  return {
    cpuNs,
    userNs: cpuNs - systemNs,
    systemNs,
    runDelayNs: sum.runDelayNs,
    blockIoDelayNs: hasDelays ? sum.blockIoDelayNs : undefined,
    peakRssBytes: sum.peakRssBytes,
    readBytes: sum.readBytes,
    writeBytes: sum.writeBytes,
    minorFaults: sum.minorFaults,
    majorFaults: sum.majorFaults,
    voluntarySwitches: sum.voluntarySwitches,
    involuntarySwitches: sum.involuntarySwitches,
    threads: sum.threads,
    incomplete: group !== undefined && sum.scheduledNs < group.scheduledNs,
  };
}
