import { safeText, shellQuote } from "../wire/escape.ts";
import {
  isTextArray,
  nanoseconds,
  type RecordedEvent,
  type Recording,
  type RecordingEnd,
  type RecordingHeader,
} from "./recording.ts";

/** One program that a process ran: from its exec, or from the fork of the process, to the next exec or the exit. */
export interface TraceImage {
  /** Nanoseconds since the beginning of the trace. */
  readonly startNs: number;
  /** Nanoseconds since the beginning of the trace. */
  endNs: number;
  /** Whether it began by a fork: a copy of the parent's program. */
  readonly forked: boolean;
  /** Its arguments, if they are known. */
  readonly commandLine: readonly string[] | undefined;
  /** Its name, up to 15 bytes. */
  readonly comm: string | undefined;
  /** Whether these are cut, as they were very long. */
  readonly commandLineTruncated: boolean;
  /** Its file, if it was recorded. */
  readonly exe: string | undefined;
  /** The directory that it was started in, if it is known. */
  readonly cwd: string | undefined;
}

/** What a process has used, as far as it was recorded. */
export interface TraceUsage {
  /** Time on a processor, in nanoseconds. */
  readonly cpuNs: number;
  /** The most memory that was resident, in bytes. */
  readonly peakRssBytes: number;
  /** Read from storage, in bytes. */
  readonly readBytes: number;
  /** Written to storage, in bytes. */
  readonly writeBytes: number;
}

/** A process of a trace. */
export interface TraceProcess {
  /** Its id. Pids are reused: another process of the trace may have it, too. */
  readonly pid: number;
  /** Its parent; undefined if that is not in the trace. */
  readonly parent: TraceProcess | undefined;
  /** In the order of their start. */
  readonly children: TraceProcess[];
  /** The programs that it ran, at least one. */
  readonly images: TraceImage[];
  /** Nanoseconds since the beginning of the trace; 0 if it was there before. */
  readonly startNs: number;
  /** Nanoseconds since the beginning of the trace; that of the end of the trace if it still ran. */
  endNs: number;
  /** Whether it was there before the trace began, or its start was lost. */
  readonly startUnknown: boolean;
  /** Whether it still ran at the end, or its exit was lost. */
  running: boolean;
  /** The exit code; null if a signal ended it, or it is unknown. */
  exitCode: number | null;
  /** The name of the signal that ended it. */
  signal: string | null;
  /** Whether a core was written. */
  coreDumped: boolean;
  /** Its real user. */
  uid: number | undefined;
  /** What it has used; undefined if that is not known. */
  usage: TraceUsage | undefined;
  /** Whether events were lost while it ran: its times and programs may be wrong. */
  uncertain: boolean;
}

/** A moment at which events were lost. */
export interface TraceLoss {
  /** After which moment; nanoseconds since the beginning of the trace. */
  readonly sinceNs: number;
  /** Until when. */
  readonly ns: number;
  /** How many, if that is known. */
  readonly count: number | undefined;
}

/** The processes of a recording. */
export interface Trace {
  /** What was started, as the recording has it. */
  readonly header: RecordingHeader;
  /** In the order of their start. */
  readonly processes: readonly TraceProcess[];
  /** Its length, in nanoseconds. */
  readonly durationNs: number;
  /** When events were lost. */
  readonly losses: readonly TraceLoss[];
  /** Whether the recording has its last line. */
  readonly complete: boolean;
  /** The exit status of the command as a shell has it, if it is known. */
  readonly status: number | null;
  /** Why CPU time and memory are unknown, if they are. */
  readonly usageRefusal: string | undefined;
}

/** Makes the tree of processes out of a recording. Events that are not understood are left out. */
export function buildTrace({ header, events, end }: Recording): Trace {
  const builder = new TraceBuilder(header);
  for (const event of events) builder.apply(event);
  return builder.build(end);
}

/** Makes the tree of processes out of events as they come. */
export class TraceBuilder {
  readonly #header: RecordingHeader;
  readonly #processes: TraceProcess[] = [];
  readonly #losses: TraceLoss[] = [];
  readonly #live = new Map<number, TraceProcess>();
  readonly #beginNs: bigint;
  readonly #begin: number;
  #lastNs = 0;

  /** Empty; times are those since the recording began. */
  constructor(header: RecordingHeader) {
    this.#header = header;
    this.#beginNs = BigInt(header.timestampNs);
    this.#begin = Number(header.timestampNs);
  }

  /** Applies one event. */
  apply(event: RecordedEvent): void {
    const ns = this.#sinceBegin(event.timestampNs);
    if (ns === undefined) return;
    if (ns > this.#lastNs) this.#lastNs = ns;
    if (event.type === "lost") {
      const { count } = event;
      const sinceNs = Math.min(ns, this.#sinceBegin(event.sinceNs) ?? ns);
      this.#losses.push({ sinceNs, ns, count: typeof count === "number" ? count : undefined });
      return;
    }
    const { pid } = event;
    if (typeof pid !== "number") return;
    switch (event.type) {
      case "fork":
        if (event.thread !== true) this.#forked(pid, ns, event);
        break;
      case "exec":
        this.#execed(pid, ns, event);
        break;
      case "exit":
        if (event.thread !== true) this.#exited(pid, ns, event);
    }
  }

  /** Ends what still runs, and returns the trace. Without the last line, the recording was cut. */
  build(end: RecordingEnd | undefined): Trace {
    const endNs = end === undefined ? 0 : Number(BigInt(end.timestampNs) - this.#beginNs);
    const durationNs = Math.max(this.#lastNs, endNs);
    for (const process of this.#live.values()) this.#close(process, durationNs);
    markUncertain(this.#processes, this.#losses);
    return {
      header: this.#header,
      processes: this.#processes.sort((a, b) => a.startNs - b.startNs),
      durationNs,
      losses: this.#losses,
      complete: end !== undefined,
      status: end?.status ?? null,
      usageRefusal: end?.usageRefusal,
    };
  }

  /** A time since the beginning, as a number; 0 if it was before. */
  #sinceBegin(value: unknown): number | undefined {
    // BigInt is slow, and 15 digits are 11 days of uptime.
    if (typeof value === "string" && value.length <= 15 && /^\d+$/.test(value)) {
      return Math.max(0, Number(value) - this.#begin);
    }
    const ns = nanoseconds(value);
    return ns === undefined ? undefined : Math.max(0, Number(ns - this.#beginNs));
  }

  #forked(pid: number, ns: number, event: RecordedEvent): void {
    const former = this.#live.get(pid);
    if (former !== undefined) this.#close(former, ns); // its exit was lost
    const parent = typeof event.parentPid === "number" ? this.#live.get(event.parentPid) : undefined;
    const synthetic = event.synthetic === true;
    const before = parent?.images.at(-1);
    const { comm = before?.comm, cwd = before?.cwd } = infoOf(event);
    this.#add(pid, ns, parent, synthetic, { comm, cwd, forked: true }, event);
  }

  #execed(pid: number, ns: number, event: RecordedEvent): void {
    const info = infoOf(event);
    const process = this.#live.get(pid);
    if (process === undefined) {
      this.#add(pid, ns, undefined, true, { ...info, forked: false }, event);
      return;
    }
    // What was found running has been forked and executed at once.
    if (event.synthetic === true && process.startNs === ns && process.startUnknown) process.images.pop();
    else lastImage(process).endNs = ns;
    process.images.push({ startNs: ns, endNs: ns, forked: false, ...info });
    process.uid = uidOf(event) ?? process.uid;
  }

  #exited(pid: number, ns: number, event: RecordedEvent): void {
    const process = this.#live.get(pid) ??
      this.#add(pid, 0, undefined, true, { ...infoOf(event), forked: false }, event);
    this.#live.delete(pid);
    const { exitCode, signal, coreDumped, usage } = event;
    process.endNs = lastImage(process).endNs = ns;
    process.running = false;
    process.exitCode = typeof exitCode === "number" ? exitCode : null;
    process.signal = typeof signal === "string" ? signal : null;
    process.coreDumped = coreDumped === true;
    process.usage = usageOf(usage);
    process.uid ??= uidOf(event);
  }

  #add(
    pid: number,
    ns: number,
    parent: TraceProcess | undefined,
    startUnknown: boolean,
    image: Partial<TraceImage> & { readonly forked: boolean },
    event: RecordedEvent,
  ): TraceProcess {
    const { forked, comm, commandLine, commandLineTruncated = false, exe, cwd } = image;
    const process: TraceProcess = {
      pid,
      parent,
      children: [],
      images: [{ startNs: ns, endNs: ns, forked, comm, commandLine, commandLineTruncated, exe, cwd }],
      startNs: ns,
      endNs: ns,
      startUnknown,
      running: true,
      exitCode: null,
      signal: null,
      coreDumped: false,
      uid: uidOf(event) ?? parent?.uid,
      usage: undefined,
      uncertain: startUnknown && this.#losses.length > 0,
    };
    parent?.children.push(process);
    this.#processes.push(process);
    this.#live.set(pid, process);
    return process;
  }

  #close(process: TraceProcess, ns: number): void {
    process.endNs = lastImage(process).endNs = ns;
    this.#live.delete(process.pid);
  }
}

type Info = Pick<TraceImage, "comm" | "commandLine" | "commandLineTruncated" | "exe" | "cwd">;

function infoOf({ process }: RecordedEvent): Info {
  const { comm, commandLine, commandLineTruncated, exe, cwd } = (process ?? {}) as Record<string, unknown>;
  return {
    comm: typeof comm === "string" ? comm : undefined,
    commandLine: isTextArray(commandLine) ? commandLine : undefined,
    commandLineTruncated: commandLineTruncated === true,
    exe: typeof exe === "string" ? exe : undefined,
    cwd: typeof cwd === "string" ? cwd : undefined,
  };
}

/** Marks the processes that lived while events were lost. */
function markUncertain(processes: readonly TraceProcess[], losses: readonly TraceLoss[]): void {
  const periods: { readonly sinceNs: number; ns: number }[] = [];
  for (const { sinceNs, ns } of losses.toSorted((a, b) => a.sinceNs - b.sinceNs)) {
    const last = periods.at(-1);
    if (last !== undefined && sinceNs <= last.ns) last.ns = Math.max(last.ns, ns);
    else periods.push({ sinceNs, ns });
  }
  for (const process of processes) {
    // The first period that is not over when the process starts.
    let low = 0;
    for (let high = periods.length; low < high;) {
      const middle = (low + high) >> 1;
      if (periods[middle]!.ns < process.startNs) low = middle + 1;
      else high = middle;
    }
    if (periods[low] !== undefined && periods[low]!.sinceNs <= process.endNs) process.uncertain = true;
  }
}

function uidOf({ process }: RecordedEvent): number | undefined {
  const { uid } = (process ?? {}) as { uid?: unknown };
  return typeof uid === "number" ? uid : undefined;
}

function usageOf(value: unknown): TraceUsage | undefined {
  const { cpuNs, peakRssBytes, readBytes, writeBytes } = (value ?? {}) as Record<string, unknown>;
  if (typeof cpuNs !== "number" || typeof peakRssBytes !== "number") return undefined;
  return {
    cpuNs,
    peakRssBytes,
    readBytes: typeof readBytes === "number" ? readBytes : 0,
    writeBytes: typeof writeBytes === "number" ? writeBytes : 0,
  };
}

/** The name under which programs are summed up: the file's or the first argument's last part, or the kernel's name. */
export function programName({ commandLine, exe, comm, forked }: TraceImage): string {
  const path = commandLine?.[0] ?? exe;
  const name = path === undefined || path === ""
    ? comm ?? "?"
    : path.slice(path.lastIndexOf("/") + 1) || path;
  return forked ? `(${name})` : name;
}

/** What a trace is of: a command, or what was running. */
export function titleOf({ command, pid, cgroup }: RecordingHeader, limit: number): string {
  if (command.length > 0) return shellQuote(command, limit);
  if (pid !== undefined) return `process ${pid} and its descendants`;
  return cgroup === undefined ? "all processes" : `control group ${safeText(cgroup.slice(0, limit))}`;
}

/** The last program of a process. */
export function lastImage({ images }: TraceProcess): TraceImage {
  return images[images.length - 1]!; // at(-1) is slower on Node, and this is called a lot
}

/** Whether a process ended in another way than with code 0. */
export function hasFailed({ exitCode, signal }: TraceProcess): boolean {
  return signal !== null || (exitCode !== null && exitCode !== 0);
}
