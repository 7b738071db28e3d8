import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { signalName } from "../processes/signals.ts";
import { HistoryError } from "./history_error.ts";
import type { GapReason } from "./images.ts";
import { absolutePath, isFile } from "./path.ts";
import type { HistoryCountBy, HistoryQuery } from "./history_query.ts";
import { selectIds, selectLess } from "./query.ts";
import { countRows } from "./counts.ts";
import { checkSchema, ENDED, FLAG } from "./schema.ts";
import { type Database, explained, fromStored, openDatabase, sqliteFailure } from "./sqlite.ts";

/** A program that a process ran, as it was recorded. */
export interface HistoryImage {
  /** The number of the row. */
  readonly id: number;
  /** The name of the machine. */
  readonly host: string | undefined;
  /** The process. Pids are reused: the row, not the pid, says which one. */
  readonly pid: number;
  /** The parent process, as the process knew it when it was created. */
  readonly parentPid: number | undefined;
  /** The row that it came from: of its parent, or of what the same process ran before. */
  readonly parent: number | undefined;
  /** The name of that. */
  readonly parentComm: string | undefined;
  /** When it began, in milliseconds since 1970, with a fraction. */
  readonly startMs: number;
  /** When it ended; undefined while it runs. If `ended` is `"unknown"`, when it was first missed. */
  readonly endMs: number | undefined;
  /** How long it ran, in milliseconds; undefined if its end was not seen. */
  readonly durationMs: number | undefined;
  /**
   * `"running"`: it runs, or ran when the recorder stopped; `"exit"`: the process exited; `"exec"`: the process executed
   * another program; `"unknown"`: it ended while nobody looked.
   */
  readonly ended: "running" | "unknown" | "exit" | "exec";
  /** The exit code; undefined if it did not exit, or is not known. */
  readonly exitCode: number | undefined;
  /** The name of the signal that ended it. */
  readonly signal: string | undefined;
  /** Whether a core was written. */
  readonly coreDumped: boolean;
  /** The name that the kernel keeps, up to 15 bytes. */
  readonly comm: string | undefined;
  /** Its arguments. */
  readonly commandLine: readonly string[] | undefined;
  /** Whether `commandLine` is cut. */
  readonly commandLineTruncated: boolean;
  /** Its file. */
  readonly exe: string | undefined;
  /** Its working directory. */
  readonly cwd: string | undefined;
  /** Its control group. */
  readonly cgroup: string | undefined;
  /** Its real user. */
  readonly uid: number | undefined;
  /** The name of that when it was recorded. */
  readonly user: string | undefined;
  /** The user that had logged in. */
  readonly loginUid: number | undefined;
  /** The leader of its session. */
  readonly session: number | undefined;
  /** Whether it is a kernel thread. */
  readonly kernelThread: boolean;
  /** Whether it was there before the recorder: then its start is that of the process, and what it ran before is not known. */
  readonly existed: boolean;
  /** Whether it never executed a program: it is a copy of its parent. */
  readonly forked: boolean;
  /** CPU time of the process, in milliseconds; in the row of its last program. */
  readonly cpuMs: number | undefined;
  /** The most memory that was resident, in bytes. */
  readonly peakRssBytes: number | undefined;
  /** Read from storage, in bytes. */
  readonly readBytes: number | undefined;
  /** Written to storage, in bytes. */
  readonly writeBytes: number | undefined;
}

/** A time of which something is missing. */
export interface HistoryGap {
  /** The name of the machine. */
  readonly host: string | undefined;
  /** It may be missing after this time, in milliseconds since 1970 ... */
  readonly fromMs: number;
  /** ... and before this one. */
  readonly toMs: number;
  /** How many events, or for `"dropped"` and `"undelivered"` programs; undefined if that is not known. */
  readonly lost: number | undefined;
  /**
   * `"lost"`: the kernel dropped events; `"off"`: no recorder ran; `"down"`: no recorder ran, and the machine was started
   * anew; `"dropped"`: the database could not be written for too long; `"undelivered"`: it did not reach the collector.
   */
  readonly reason: GapReason;
}

/** How many programs there were of a kind. */
export interface HistoryCount {
  /** The name of the program, user, parent program or control group; undefined if it is unknown. */
  readonly name: string | undefined;
  /** How many were started. */
  readonly count: number;
  /** How many of them ended with a code other than 0 or by a signal. */
  readonly failed: number;
}

/** The result of a statement. */
export interface HistoryTable {
  /** The names of the columns. */
  readonly columns: readonly string[];
  /** A value for each column. */
  readonly rows: readonly (readonly unknown[])[];
}

/** An open database of history. */
export interface History extends Disposable {
  /** The programs that a query wants. */
  query(query?: HistoryQuery): HistoryImage[];
  /** A program by the number of its row. */
  image(id: number): HistoryImage | undefined;
  /** The times of which something is missing, the earliest first. */
  gaps(query?: Pick<HistoryQuery, "sinceMs" | "untilMs" | "host">): HistoryGap[];
  /** How many programs there were, by what they have in common; the most frequent first. */
  count(by: HistoryCountBy, query?: HistoryQuery): HistoryCount[];
  /** Until when programs are recorded, in milliseconds since 1970; undefined if none are. */
  recordedMs(): number | undefined;
  /**
   * The result of one SQL statement, which cannot change anything. Numbers are bigints.
   *
   * @throws {TypeError} If it is none, more than one, or would change something.
   */
  sql(statement: string): HistoryTable;
  /** Closes the file. */
  close(): void;
}

/** How much of the file is mapped: counting ten million entries of an index then takes 0.6 instead of 0.8 s. */
const MAPPED_BYTES = 2 ** 31;

/**
 * Opens a database of history for reading, also while a recorder writes it, or a copy.
 *
 * @throws {HistoryError} If it cannot be read, is something else, or of another version.
 */
export function openHistory(path: string): History {
  const file = absolutePath(path, "read the history");
  const action = `read the history in ${file}`;
  let database: Database | undefined;
  try {
    database = openReadOnly(file, action);
    database.exec(`PRAGMA mmap_size = ${MAPPED_BYTES}`);
    checkSchema(database, action);
    return new HistoryReader(database, action);
  } catch (error) {
    database?.close();
    throw explained(error, action);
  }
}

function openReadOnly(file: string, action: string): Database {
  if (!isFile(file, action)) {
    throw new HistoryError(`Cannot ${action}: there is no such file; cnctl record makes it`);
  }
  const database = openDatabase(file, action, true);
  try {
    database.prepare("PRAGMA schema_version").get();
    return database;
  } catch (error) {
    database.close();
    // A copy in a folder that must not be written: without a log beside it, nothing else writes it.
    if (sqliteFailure(error) !== "cannot-open" && sqliteFailure(error) !== "read-only") throw error;
    if (existsSync(`${file}-wal`)) throw error;
    const url = pathToFileURL(file);
    url.searchParams.set("immutable", "1");
    return openDatabase(url, action, true);
  }
}

class HistoryReader implements History {
  readonly #database: Database;
  readonly #action: string;

  constructor(database: Database, action: string) {
    this.#database = database;
    this.#action = action;
  }

  query(query: HistoryQuery = {}): HistoryImage[] {
    return this.#explaining(() => {
      const { orderBy = "start", limit } = query;
      if (limit === 0) return [];
      let images = this.#select(selectIds(this.#database, query));
      if (orderBy !== "start" && limit !== undefined && images.length < limit) {
        images = this.#select(selectLess(this.#database, query));
      }
      if (orderBy === "start") {
        images.sort((a, b) => a.startMs - b.startMs || a.id - b.id);
        return limit === undefined ? images : images.slice(-limit);
      }
      const key = orderBy === "duration" ? "durationMs" : "cpuMs";
      images.sort((a, b) => (b[key] ?? 0) - (a[key] ?? 0));
      return limit === undefined ? images : images.slice(0, limit);
    });
  }

  image(id: number): HistoryImage | undefined {
    return this.#explaining(() => this.#select({ text: "SELECT ? AS id", values: [id] })[0]);
  }

  gaps(
    { sinceMs = 0, untilMs = Infinity, host }: Pick<HistoryQuery, "sinceMs" | "untilMs" | "host"> = {},
  ): HistoryGap[] {
    return this.#explaining(() => {
      const rows = this.#database.prepare(
        `SELECT host.name AS host, from_us, to_us, lost, reason FROM gap LEFT JOIN host ON host.id = gap.host
         WHERE to_us >= ? ORDER BY from_us, gap.id`,
      ).all(Math.round(sinceMs * 1000));
      return rows.map((row) => ({
        host: fromStored(row.host),
        fromMs: Number(row.from_us) / 1000,
        toMs: Number(row.to_us) / 1000,
        lost: row.lost === null ? undefined : Number(row.lost),
        reason: String(row.reason) as GapReason,
      })).filter((gap) => gap.fromMs < untilMs && (host === undefined || gap.host === host));
    });
  }

  count(by: HistoryCountBy, query: HistoryQuery = {}): HistoryCount[] {
    return this.#explaining(() => countRows(this.#database, by, query));
  }

  recordedMs(): number | undefined {
    return this.#explaining(() => {
      const { us } = this.#database.prepare("SELECT max(recorded_us) AS us FROM run").get()!;
      return us === null ? undefined : Number(us) / 1000;
    });
  }

  sql(statement: string): HistoryTable {
    const action = "search the history";
    let rest: string;
    let table: HistoryTable;
    // Of a text without any, Deno 2.9 crashes.
    if (statement.replace(NO_STATEMENT, "") === "") {
      throw new TypeError(`Cannot ${action}: there is no SQL statement`);
    }
    try {
      const prepared = this.#database.prepare(statement);
      rest = statement.trimStart().slice(prepared.sourceSQL.trimStart().length);
      prepared.setReadBigInts(true);
      prepared.setReturnArrays(true);
      // The first statement alone cannot change anything either.
      const rows = prepared.all() as unknown as unknown[][];
      table = { columns: prepared.columns().map(({ name }) => name), rows };
    } catch (error) {
      const failure = sqliteFailure(error);
      if (failure !== undefined && failure !== "read-only") throw explained(error, this.#action);
      const why = failure === undefined ? (error as Error).message : "it may only be read";
      throw new TypeError(`Cannot ${action}: ${why}`, { cause: error });
    }
    if (rest.trim() !== "") throw new TypeError(`Cannot ${action}: there is more than one SQL statement`);
    return table;
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #select(
    { text, values }: { readonly text: string; readonly values: readonly (string | number)[] },
  ): HistoryImage[] {
    return this.#database.prepare(`${ROWS} WHERE image.id IN (${text})`).all(...values).map(imageOf);
  }

  #explaining<Result>(action: () => Result): Result {
    try {
      return action();
    } catch (error) {
      throw explained(error, this.#action);
    }
  }
}

const ROWS = `SELECT image.*, host.name AS host_name, account.name AS user,
  comm.value AS comm_text, parent_comm.value AS parent_comm_text, exe.value AS exe_text, cwd.value AS cwd_text,
  cgroup.value AS cgroup_text
FROM image
LEFT JOIN host ON host.id = image.host
LEFT JOIN account ON account.host = image.host AND account.uid = image.uid
LEFT JOIN text comm ON comm.id = image.comm
LEFT JOIN text parent_comm ON parent_comm.id = image.parent_comm
LEFT JOIN text exe ON exe.id = image.exe
LEFT JOIN text cwd ON cwd.id = image.cwd
LEFT JOIN text cgroup ON cgroup.id = image.cgroup`;

const ENDS: readonly HistoryImage["ended"][] = ["running", "unknown", "exit", "exec"];

/** Blanks, semicolons and comments. */
const NO_STATEMENT = /--[^\n]*|\/\*[^]*?(?:\*\/|$)|[\s;]/g;

type Row = Readonly<Record<string, unknown>>;

function imageOf(row: Row): HistoryImage {
  const status = numberOf(row.status);
  const flags = Number(row.flags);
  const exited = status !== undefined && (status & 127) === 0;
  return {
    id: Number(row.id),
    host: fromStored(row.host_name),
    pid: Number(row.pid),
    parentPid: numberOf(row.ppid),
    parent: numberOf(row.parent),
    parentComm: fromStored(row.parent_comm_text),
    startMs: Number(row.start_us) / 1000,
    endMs: milliseconds(row.end_us),
    durationMs: milliseconds(row.duration_us),
    ended: ENDS[Number(row.ended)] ?? ENDS[ENDED.UNKNOWN]!,
    exitCode: exited ? (status >> 8) & 0xff : undefined,
    signal: status === undefined || exited ? undefined : signalName(status & 127),
    coreDumped: status !== undefined && (status & 128) !== 0,
    comm: fromStored(row.comm_text),
    commandLine: wordsOf(row.argv),
    commandLineTruncated: (flags & FLAG.ARGV_CUT) !== 0,
    exe: fromStored(row.exe_text),
    cwd: fromStored(row.cwd_text),
    cgroup: fromStored(row.cgroup_text),
    uid: numberOf(row.uid),
    user: fromStored(row.user),
    loginUid: numberOf(row.login_uid),
    session: numberOf(row.session),
    kernelThread: (flags & FLAG.KERNEL_THREAD) !== 0,
    existed: (flags & FLAG.EXISTED) !== 0,
    forked: (flags & FLAG.FORKED) !== 0,
    cpuMs: milliseconds(row.cpu_us),
    peakRssBytes: row.rss_kib === null ? undefined : Number(row.rss_kib) * 1024,
    readBytes: numberOf(row.read_bytes),
    writeBytes: numberOf(row.write_bytes),
  };
}

function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}

function milliseconds(value: unknown): number | undefined {
  const us = numberOf(value);
  return us === undefined ? undefined : us / 1000;
}

/** Arguments; undefined if somebody has put something else there. */
function wordsOf(value: unknown): readonly string[] | undefined {
  if (typeof value !== "string") return undefined;
  try {
    const words: unknown = JSON.parse(value);
    return Array.isArray(words) && words.every((word) => typeof word === "string") ? words : undefined;
  } catch {
    return undefined;
  }
}
