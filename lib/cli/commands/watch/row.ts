import { type EventClock, type TimeText } from "../../io/time.ts";
import { formatDuration } from "../../../wire/duration.ts";
import type { ProcessEvent, ProcessInfo } from "../../../../mod.ts";
import { endText } from "../../../processes/exit_status.ts";
import { safeText, shellQuote } from "../../../wire/escape.ts";

/** One line of the table as cells, each safe to print on a terminal. */
export interface Row {
  /** `HH:MM:SS.mmm`. */
  readonly time: string;
  readonly event: string;
  readonly pid: string;
  readonly user: string;
  readonly info: string;
  /** Shorter forms of `info`, for when it does not fit into its column. */
  readonly shorterInfo?: readonly string[] | undefined;
  readonly duration: string;
  readonly command: string;
}

/** What a {@linkcode RowMaker} needs. */
export interface RowTools {
  readonly clock: EventClock;
  readonly times: TimeText;
  /** The longest command that is shown, in characters. */
  readonly commandLimit?: number;
  readonly users: IdNames;
  readonly groups: IdNames;
}

/** The cells that depend on the type of the event. */
interface Cells {
  readonly event: string;
  /** Undefined if the event is not about one process. */
  readonly pid: number | undefined;
  readonly info: string;
  readonly shorterInfo?: readonly string[] | undefined;
  readonly duration?: string;
  /** Default: the command of the process. */
  readonly command?: string;
}

/** Formats events as rows. */
export class RowMaker {
  readonly #clock: EventClock;
  readonly #times: TimeText;
  readonly #users: IdNames;
  readonly #groups: IdNames;
  readonly #commands: CommandText;
  /** Start times of the running threads, by tid. */
  readonly #threads = new Map<number, bigint>();

  /** A formatter with these tools. */
  constructor(tools: RowTools) {
    this.#clock = tools.clock;
    this.#times = tools.times;
    this.#users = tools.users;
    this.#groups = tools.groups;
    this.#commands = new CommandText(tools.commandLimit);
  }

  /** The row of an event. `before` is the process as it was before the event. */
  make(event: ProcessEvent, before?: ProcessInfo): Row {
    const cells = this.#cells(event, before);
    const { process } = event;
    return {
      time: this.#times.local(this.#clock.wallTimeMs(event.timestampNs)),
      event: cells.event,
      pid: cells.pid === undefined ? "" : String(cells.pid),
      user: process?.uid === undefined ? "" : this.#users.name(process.uid),
      info: cells.info,
      shorterInfo: cells.shorterInfo,
      duration: cells.duration ?? "",
      command: cells.command ?? chainText(process) + this.#commands.of(process),
    };
  }

  #cells(event: ProcessEvent, before: ProcessInfo | undefined): Cells {
    switch (event.type) {
      case "fork":
        if (!event.thread) return { event: "fork", pid: event.pid, info: `parent ${event.parentPid}` };
        this.#threads.set(event.tid, event.timestampNs);
        return { event: "thread", pid: event.pid, info: `tid ${event.tid}` };
      case "exec":
        return withParent("exec", event, "", "by", "");
      case "exit":
        if (event.thread) return this.#threadExitCells(event);
        return withParent(
          "exit",
          event,
          exitText(event),
          "parent",
          durationText(event.process, event.timestampNs),
        );
      case "uid":
        return { event: "uid", pid: event.pid, info: uidText(event, before, this.#users) };
      case "gid":
        return {
          event: "gid",
          pid: event.pid,
          info: threadText(event) + idText(event.realGid, event.effectiveGid, this.#groups),
        };
      case "sid":
        return { event: "sid", pid: event.pid, info: "new session" };
      case "ptrace":
        return {
          event: "ptrace",
          pid: event.pid,
          info: event.tracerPid === 0 ? "detached" : `by ${event.tracerPid}`,
        };
      case "comm":
        return { event: "comm", pid: event.pid, info: commText(event, before) };
      case "coredump":
        return { event: "core", pid: event.pid, info: "" };
      case "lost":
        return {
          event: "lost",
          pid: undefined,
          info: lostCount(event.count),
          command: this.#lostCommand(event),
        };
      case "unknown":
        return {
          event: "other",
          pid: undefined,
          info: `0x${event.what.toString(16).padStart(8, "0")}`,
          command: "",
        };
    }
  }

  #threadExitCells(event: ProcessEvent & { readonly type: "exit" }): Cells {
    const startNs = this.#threads.get(event.tid);
    this.#threads.delete(event.tid);
    const how = exitText(event);
    return {
      event: "exit",
      pid: event.pid,
      info: `tid ${event.tid}${how === "0" ? "" : ` ${how}`}`,
      duration: startNs === undefined ? "" : formatDuration(event.timestampNs - startNs),
    };
  }

  #lostCommand(event: ProcessEvent & { readonly type: "lost" }): string {
    const since = this.#times.local(this.#clock.wallTimeMs(event.sinceNs));
    const where = event.cpus.length === 0 ? "" : ` on cpu ${event.cpus.join(", ")}`;
    return `--- lost since ${since}${where}, also kinds not shown ---`;
  }
}

/** `3`, `SIGSEGV core`, `0, 12.3 ms CPU, 4.1 MiB`. */
function exitText(event: ProcessEvent & { readonly type: "exit" }): string {
  const { usage } = event;
  const how = endText(event);
  if (usage === undefined) return how;
  const memory = (usage.peakRssBytes / 2 ** 20).toFixed(1);
  return `${how}, ${formatDuration(BigInt(Math.round(usage.cpuNs)))} CPU, ${memory} MiB`;
}

/** The cells with `by 5969 sh` or `3, parent 5969 sh`, and shorter forms without the parent's name or the parent. */
function withParent(
  event: string,
  { pid, process }: ProcessEvent & { readonly type: "exec" | "exit" },
  info: string,
  word: string,
  duration: string,
): Cells {
  if (process?.parentPid === undefined) return { event, pid, info, duration };
  const { parentPid, parentComm } = process;
  const parent = `${info === "" ? "" : `${info}, `}${word} ${parentPid}`;
  if (parentComm === undefined) return { event, pid, info: parent, shorterInfo: [info], duration };
  const whole = `${parent} ${safeText(parentComm)}`;
  return { event, pid, info: whole, shorterInfo: [parent, info], duration };
}

/** The lifetime of a process; empty if its start time is unknown. */
function durationText(process: ProcessInfo | undefined, endNs: bigint): string {
  return process?.startNs === undefined ? "" : formatDuration(endNs - process.startNs);
}

function threadText(event: { readonly pid: number; readonly tid: number }): string {
  return event.tid === event.pid ? "" : `tid ${event.tid} `;
}

/** `nobody`, or `root, effective nobody`. */
function idText(real: number, effective: number, names: IdNames): string {
  return real === effective ? names.name(real) : `${names.name(real)}, effective ${names.name(effective)}`;
}

/** `root -> nobody`, or `nobody` if the previous user is unknown. */
function uidText(
  event: ProcessEvent & { readonly type: "uid" },
  before: ProcessInfo | undefined,
  names: IdNames,
): string {
  const now = idText(event.realUid, event.effectiveUid, names);
  if (event.tid !== event.pid || before?.uid === undefined) return threadText(event) + now;
  return `${idText(before.uid, before.effectiveUid ?? before.uid, names)} -> ${now}`;
}

/** `bash -> worker 1`, or `-> worker 1` if the previous name is unknown. */
function commText(event: ProcessEvent & { readonly type: "comm" }, before: ProcessInfo | undefined): string {
  const now = `-> ${safeText(event.comm)}`;
  if (event.tid !== event.pid || before?.comm === undefined) return threadText(event) + now;
  return `${safeText(before.comm)} ${now}`;
}

function lostCount(count: number | undefined): string {
  return count === undefined ? "some" : String(count);
}

/** `make > sh > `, for the command after it; empty unless the parents were asked for. */
function chainText(process: ProcessInfo | undefined): string {
  if (process?.parents === undefined) return "";
  return process.parents.map(({ comm = UNKNOWN }) => `${safeText(comm)} > `).reverse().join("");
}

/** A process that exited before anything could be read. */
const UNKNOWN = "?";

/** How many formatted command lines are kept. */
const KEPT = 4;

/** A command line and its text. */
interface CommandLineText {
  readonly commandLine: readonly string[];
  readonly text: string;
}

/**
 * The command of a process as text: the command line with shell quoting, `[name]` for a kernel thread, `(name)` if only
 * the name is known, or `?`. Events of a process and its children share the array of their command line: the latest ones
 * are not formatted again. (A WeakMap of all of them costs a garbage collector more than formatting.)
 */
export class CommandText {
  readonly #limit: number;
  readonly #latest: CommandLineText[] = Array.from({ length: KEPT }, () => ({ commandLine: [], text: "" }));
  #oldest = 0;

  /** `limit` is the longest command that is shown, in characters. */
  constructor(limit: number = Infinity) {
    this.#limit = limit;
  }

  /** The command of a process. */
  of(process: ProcessInfo | undefined): string {
    if (process === undefined) return UNKNOWN;
    const { commandLine, commandLineTruncated, comm, kernelThread } = process;
    if (commandLine !== undefined && commandLine.length > 0) {
      for (const latest of this.#latest) if (latest.commandLine === commandLine) return latest.text;
      const text = shellQuote(commandLine, this.#limit) + (commandLineTruncated ? " …" : "");
      this.#latest[this.#oldest] = { commandLine, text };
      this.#oldest = (this.#oldest + 1) % KEPT;
      return text;
    }
    if (comm === undefined) return UNKNOWN;
    return kernelThread ? `[${safeText(comm)}]` : `(${safeText(comm)})`;
  }
}

/** Names of user or group ids. */
export class IdNames {
  readonly #names: Map<number, string>;

  /** The names, which need not be safe. */
  constructor(names: ReadonlyMap<number, string>) {
    this.#names = new Map([...names].map(([id, name]) => [id, safeText(name)]));
    if (!this.#names.has(0)) this.#names.set(0, "root"); // even if the list cannot be read
  }

  /** The name of an id, safe for a terminal, or the number if it has none. */
  name(id: number): string {
    let name = this.#names.get(id);
    if (name === undefined) this.#names.set(id, name = String(id));
    return name;
  }
}
