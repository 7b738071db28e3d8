import type { EventClock, TimeText } from "../../io/clock.ts";
import type { Row } from "../../io/columns.ts";
import { CommandText } from "../../io/command_text.ts";
import { formatDuration } from "../../io/duration.ts";
import type { ShownEvent, ShownProcess } from "../../library.ts";
import { safeText } from "../../io/safe_text.ts";
import type { IdNames } from "../../io/id_names.ts";

/** What rows are made with. */
export interface RowTools {
  readonly clock: EventClock;
  readonly times: TimeText;
  /** Longest command that can be seen, in characters. */
  readonly commandLimit?: number;
  readonly users: IdNames;
  readonly groups: IdNames;
}

/** What an event says besides who and when. */
interface Told {
  readonly event: string;
  /** Undefined where no one process is meant. */
  readonly pid: number | undefined;
  readonly info: string;
  readonly shorterInfo?: readonly string[];
  readonly duration?: string;
  /** Undefined for that of the process. */
  readonly command?: string;
}

/** Makes rows of events. */
export class RowMaker {
  readonly #clock: EventClock;
  readonly #times: TimeText;
  readonly #users: IdNames;
  readonly #groups: IdNames;
  readonly #commands: CommandText;
  /** When the threads started that are still there. */
  readonly #threads = new Map<number, bigint>();

  /** Keeps the tools. */
  constructor(tools: RowTools) {
    this.#clock = tools.clock;
    this.#times = tools.times;
    this.#users = tools.users;
    this.#groups = tools.groups;
    this.#commands = new CommandText(tools.commandLimit);
  }

  /** The row of an event. `before` is what was known of the process before it. */
  make(event: ShownEvent, before?: ShownProcess): Row {
    const told = this.#tell(event, before);
    const { process } = event;
    return {
      time: this.#times.local(this.#clock.wallTimeMs(event.timestampNs)),
      event: told.event,
      pid: told.pid === undefined ? "" : String(told.pid),
      user: process?.uid === undefined ? "" : this.#users.name(process.uid),
      info: told.info,
      ...(told.shorterInfo === undefined ? {} : { shorterInfo: told.shorterInfo }),
      duration: told.duration ?? "",
      command: told.command ?? this.#commands.of(process),
    };
  }

  #tell(event: ShownEvent, before: ShownProcess | undefined): Told {
    switch (event.type) {
      case "fork":
        if (!event.thread) return { event: "fork", pid: event.pid, info: `parent ${event.parentPid}` };
        this.#threads.set(event.tid, event.timestampNs);
        return { event: "thread", pid: event.pid, info: `tid ${event.tid}` };
      case "exec":
        return { event: "exec", pid: event.pid, ...withParent("", "by", event.process) };
      case "exit":
        return event.thread ? this.#tellThreadExit(event) : {
          event: "exit",
          pid: event.pid,
          ...withParent(exitText(event), "parent", event.process),
          duration: durationText(event.process, event.timestampNs),
        };
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
          command: this.#tellLost(event),
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

  #tellThreadExit(event: ShownEvent & { readonly type: "exit" }): Told {
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

  #tellLost(event: ShownEvent & { readonly type: "lost" }): string {
    const since = this.#times.local(this.#clock.wallTimeMs(event.sinceNs));
    const where = event.cpus.length === 0 ? "" : ` on cpu ${event.cpus.join(", ")}`;
    return `--- lost since ${since}${where}, also kinds not shown ---`;
  }
}

/** `3`, `SIGSEGV core`: as a shell would put it. */
function exitText(event: ShownEvent & { readonly type: "exit" }): string {
  if (event.signal === null) return String(event.exitCode);
  return event.coreDumped ? `${event.signal} core` : event.signal;
}

/** `by 5969 sh`, `3, parent 5969 sh`: who started it, as long as there is room for it. */
function withParent(
  info: string,
  word: string,
  process: ShownProcess | undefined,
): { readonly info: string; readonly shorterInfo?: readonly string[] } {
  if (process?.parentPid === undefined) return { info };
  const { parentPid, parentComm } = process;
  const parent = `${info === "" ? "" : `${info}, `}${word} ${parentPid}`;
  if (parentComm === undefined) return { info: parent, shorterInfo: [info] };
  return { info: `${parent} ${safeText(parentComm)}`, shorterInfo: [parent, info] };
}

/** How long a process was there, as text; empty where its start is not known. */
function durationText(process: ShownProcess | undefined, endNs: bigint): string {
  return process?.startNs === undefined ? "" : formatDuration(endNs - process.startNs);
}

function threadText(event: { readonly pid: number; readonly tid: number }): string {
  return event.tid === event.pid ? "" : `tid ${event.tid} `;
}

/** `nobody`, or `root, effective nobody`. */
function idText(real: number, effective: number, names: IdNames): string {
  return real === effective ? names.name(real) : `${names.name(real)}, effective ${names.name(effective)}`;
}

/** `root -> nobody`, where it is known who it was. */
function uidText(
  event: ShownEvent & { readonly type: "uid" },
  before: ShownProcess | undefined,
  names: IdNames,
): string {
  const now = idText(event.realUid, event.effectiveUid, names);
  if (event.tid !== event.pid || before?.uid === undefined) return threadText(event) + now;
  return `${idText(before.uid, before.effectiveUid ?? before.uid, names)} -> ${now}`;
}

/** `bash -> worker 1`, where the old name is known. */
function commText(event: ShownEvent & { readonly type: "comm" }, before: ShownProcess | undefined): string {
  const now = `-> ${safeText(event.comm)}`;
  if (event.tid !== event.pid || before?.comm === undefined) return threadText(event) + now;
  return `${safeText(before.comm)} ${now}`;
}

function lostCount(count: number | undefined): string {
  return count === undefined ? "some" : String(count);
}
