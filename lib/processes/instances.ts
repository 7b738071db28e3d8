import type { System } from "../../ffi/libc.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import type { ProcessEvent } from "./event.ts";
import type { ProcessFilter, ProcessPatterns } from "./filter.ts";
import type { ProcessInfo, ProcessInfoOptions } from "./info.ts";
import { openProcessWatch } from "./open.ts";
import type { WatchProcessesOptions } from "./options.ts";
import { type CheckedProcessFilter, checkProcessFilter, matchEvent } from "./process_filter.ts";
import type { ProcessWatch } from "./watch.ts";

/** What an event means for the processes that match. */
export interface InstanceChange {
  /**
   * `"start"`: a program that matches was executed, or a process became one by a new name or user, or was there at the
   * start. `"leave"`: a process is no instance any more. `"exit"`: it has ended.
   */
  readonly what: "start" | "leave" | "exit" | "coredump";
  readonly event: Extract<ProcessEvent, { readonly pid: number }>;
  readonly process: ProcessInfo;
  /** Whether it was there at the start. */
  readonly existing: boolean;
  /** How many instances there were before the event, and how many there are after it. */
  readonly before: number;
  readonly after: number;
}

/**
 * The processes that match a filter: instances. A child that its parent has only forked is one as its parent is, for as
 * long as it runs the same program, but its fork starts nothing.
 *
 * It gets all events of a watch with a snapshot, in their order.
 */
export class Instances {
  readonly #filter: CheckedProcessFilter | undefined;
  readonly #pids = new Set<number>();
  /** The snapshot comes before everything else. */
  #inSnapshot = true;
  #undecided = 0;

  constructor(filter: CheckedProcessFilter | undefined) {
    this.#filter = filter;
  }

  /** Programs that may have matched, but ended before enough of them could be read. */
  get undecided(): number {
    return this.#undecided;
  }

  /** What a user should know who wonders why nothing matches. */
  get notes(): readonly { readonly part: string; readonly note: string }[] {
    const tests = [...this.#filter?.wanted ?? [], ...this.#filter?.unwanted ?? []];
    return tests.flatMap(({ part, note }) => note === undefined ? [] : [{ part, note }]);
  }

  /** Whether a process is an instance. */
  has(pid: number): boolean {
    return this.#pids.has(pid);
  }

  /** Applies an event. */
  apply(event: ProcessEvent): InstanceChange | undefined {
    const isSynthetic = (event as { synthetic?: true }).synthetic === true;
    if (!isSynthetic) this.#inSnapshot = false;
    if (event.type === "lost" || event.type === "unknown") return undefined;
    switch (event.type) {
      case "fork": {
        if (event.thread) return undefined;
        const isInstance = this.#matches(event);
        // In the snapshot each process has a fork. Else a fork is a copy, and shows no new instance.
        if (this.#inSnapshot) return isInstance ? this.#change("start", event) : undefined;
        this.#set(event.pid, isInstance);
        return undefined;
      }
      case "exec":
        if (this.#inSnapshot && this.#pids.has(event.pid)) return undefined;
        return this.#become(event, true);
      case "comm":
      case "uid":
        return this.#become(event, false);
      case "exit":
        return event.thread || !this.#pids.has(event.pid) ? undefined : this.#change("exit", event);
      case "coredump":
        return this.#pids.has(event.pid) ? this.#change("coredump", event) : undefined;
      default:
        return undefined;
    }
  }

  /** The process has changed. */
  #become(event: InstanceChange["event"], isNewProgram: boolean): InstanceChange | undefined {
    const was = this.#pids.has(event.pid);
    const matches = this.#matches(event, isNewProgram);
    if (matches && (!was || isNewProgram)) return this.#change("start", event);
    return was && !matches ? this.#change("leave", event) : undefined;
  }

  #change(what: InstanceChange["what"], event: InstanceChange["event"]): InstanceChange {
    const before = this.#pids.size;
    if (what !== "coredump") this.#set(event.pid, what === "start");
    const { process } = event;
    return {
      what,
      event,
      process: process!,
      existing: this.#inSnapshot,
      before,
      after: this.#pids.size,
    };
  }

  #set(pid: number, isInstance: boolean): void {
    if (isInstance) this.#pids.add(pid);
    else this.#pids.delete(pid);
  }

  #matches(event: ProcessEvent, counts = false): boolean {
    if (event.process === undefined) return false;
    if (this.#filter === undefined) return true;
    const match = matchEvent(this.#filter, event);
    if (match === undefined && counts) this.#undecided++;
    return match === true;
  }
}

/** The events of all processes that options choose by number or descent, and those that match each of some filters. */
export interface InstanceWatch {
  readonly events: ProcessWatch;
  readonly instances: readonly Instances[];
}

/** A filter by what processes are. */
export type InstanceFilter = ProcessPatterns & Pick<ProcessFilter, "exclude">;

/**
 * Opens a watch for {@linkcode Instances}. The kernel records the arguments of execs from the first event on, if that is
 * permitted: a program that ends at once is one as any other.
 *
 * @param action completes "Cannot …" in the errors.
 */
export function openInstances(
  system: System,
  filters: readonly InstanceFilter[],
  options: Omit<WatchProcessesOptions, keyof InstanceFilter>,
  action: string,
): InstanceWatch {
  const checked = filters.map((filter) => checkProcessFilter(filter, system.libc, action));
  const { processInfo = true, events = ["fork", "exec", "comm", "uid", "exit"] } = options;
  const chosen = typeof processInfo === "boolean" ? {} : processInfo;
  const fields = [
    ...new Set([chosen.fields ?? [], checked.flatMap((filter) => filter?.fields ?? [])].flat()),
  ];
  const open = (execRecords: ProcessInfoOptions["execRecords"]): ProcessWatch =>
    openProcessWatch(system, {
      ...options,
      events,
      snapshot: true,
      processInfo: { ...chosen, fields, execRecords },
    }, fields.includes("cgroup"));
  let watch: ProcessWatch;
  try {
    watch = open("required");
  } catch (error) {
    if (!(error instanceof SyscallError || error instanceof DecodeError)) throw error;
    watch = open("off"); // where this fails as well, recording was not the reason
  }
  return { events: watch, instances: checked.map((filter) => new Instances(filter)) };
}
