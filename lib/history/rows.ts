import type { StatementSync } from "node:sqlite";
import type { Image, OpenImage } from "./images.ts";
import { FLAG } from "./schema.ts";
import { type Database, fromStored, type StoredValue } from "./sqlite.ts";
import type { Texts } from "./texts.ts";

/** What a row of `image` says, with texts instead of their ids. Times are microseconds since 1970. */
export interface ImageRow {
  readonly id: number;
  readonly parent?: number | undefined;
  readonly parentComm?: string | undefined;
  readonly pid: number;
  readonly ppid?: number | undefined;
  readonly startTicks?: number | undefined;
  readonly startUs: number;
  readonly endUs?: number | undefined;
  readonly durationUs?: number | undefined;
  readonly ended: number;
  readonly status?: number | undefined;
  readonly comm?: string | undefined;
  readonly argv?: readonly string[] | undefined;
  readonly exe?: string | undefined;
  readonly cwd?: string | undefined;
  readonly cgroup?: string | undefined;
  readonly uid?: number | undefined;
  readonly loginUid?: number | undefined;
  readonly session?: number | undefined;
  readonly flags: number;
  readonly cpuUs?: number | undefined;
  readonly rssKib?: number | undefined;
  readonly readBytes?: number | undefined;
  readonly writeBytes?: number | undefined;
}

/** The row of a program; `wallUs` turns CLOCK_MONOTONIC into microseconds since 1970. */
export function rowOf(image: Image, wallUs: (timestampNs: bigint) => number): ImageRow {
  const { process, usage, startNs, endNs } = image;
  let { flags } = image;
  if (process?.commandLineTruncated) flags |= FLAG.ARGV_CUT;
  if (process?.kernelThread) flags |= FLAG.KERNEL_THREAD;
  return {
    id: image.id,
    parent: image.parent,
    parentComm: image.parentComm,
    pid: image.pid,
    ppid: process?.parentPid,
    startTicks: image.startTicks,
    startUs: wallUs(startNs),
    endUs: endNs === undefined ? undefined : wallUs(endNs),
    durationUs: endNs === undefined || !image.measured ? undefined : microseconds(endNs - startNs),
    ended: image.ended,
    status: image.status ?? undefined,
    comm: process?.comm,
    argv: process?.commandLine,
    exe: process?.exe,
    cwd: process?.cwd,
    cgroup: process?.cgroup,
    uid: process?.uid,
    loginUid: process?.loginUid ?? undefined,
    session: process?.session,
    flags,
    cpuUs: usage === undefined ? undefined : Math.round(usage.cpuNs / 1000),
    rssKib: usage === undefined ? undefined : Math.round(usage.peakRssBytes / 1024),
    readBytes: usage?.readBytes ?? undefined,
    writeBytes: usage?.writeBytes ?? undefined,
  };
}

/** What a recorder has to know of a row that has no end yet; `monotonicNs` is the inverse of `wallUs`. */
export function openImageOf(
  row: Readonly<Record<string, unknown>>,
  monotonicNs: (wallUs: number) => bigint,
): OpenImage {
  return {
    id: Number(row.id),
    pid: Number(row.pid),
    startTicks: row.start_ticks === null ? undefined : Number(row.start_ticks),
    startNs: monotonicNs(Number(row.start_us)),
    comm: fromStored(row.comm),
    exe: fromStored(row.exe),
    flags: Number(row.flags),
  };
}

function microseconds(ns: bigint): number {
  return Math.max(0, Math.round(Number(ns) / 1000));
}

const ORIGIN = ["id", "host", "run", "parent", "parent_comm", "pid", "ppid", "start_ticks", "start_us"];
const OUTCOME = ["end_us", "duration_us", "ended", "status"];
const PROGRAM = ["comm", "argv", "exe", "cwd", "cgroup", "uid", "login_uid", "session", "flags"];
const USAGE = ["cpu_us", "rss_kib", "read_bytes", "write_bytes"];
const ALL = [...ORIGIN, ...OUTCOME, ...PROGRAM, ...USAGE];

const INSERT = `INSERT INTO image(${ALL.join()}) VALUES (${ALL.map(() => "?").join()})`;
const CHANGE = `UPDATE image SET ${assignments([...OUTCOME, ...PROGRAM, ...USAGE])} WHERE id = ?`;
const END = `UPDATE image SET ${assignments([...OUTCOME, ...USAGE])} WHERE id = ?`;

function assignments(columns: readonly string[]): string {
  return columns.map((column) => `${column} = ?`).join();
}

/** Writes rows of `image`. Within a transaction. */
export class ImageTable {
  readonly #texts: Texts;
  readonly #insert: StatementSync;
  readonly #change: StatementSync;
  readonly #end: StatementSync;

  constructor(database: Database, texts: Texts) {
    this.#texts = texts;
    this.#insert = database.prepare(INSERT);
    this.#change = database.prepare(CHANGE);
    this.#end = database.prepare(END);
  }

  /** Writes a row that is not there. */
  insert(host: number, run: number, row: ImageRow, nowUs: number): void {
    const { id, parent, parentComm, pid, ppid, startTicks, startUs } = row;
    // deno-fmt-ignore
    this.#insert.run(
      id, host, run, parent ?? null, this.#texts.idOf(parentComm, nowUs), pid, ppid ?? null, startTicks ?? null, startUs,
      ...outcome(row), ...this.#program(row, nowUs), ...usage(row),
    );
  }

  /** Writes a row again, but for where it came from. Returns whether it was there. */
  change(row: ImageRow, nowUs: number): boolean {
    const { changes } = this.#change.run(
      ...outcome(row),
      ...this.#program(row, nowUs),
      ...usage(row),
      row.id,
    );
    return Number(changes) > 0;
  }

  /** Writes how a program ended. Returns whether the row was there. */
  end(row: ImageRow): boolean {
    return Number(this.#end.run(...outcome(row), ...usage(row), row.id).changes) > 0;
  }

  #program(row: ImageRow, nowUs: number): StoredValue[] {
    const texts = this.#texts;
    return [
      texts.idOf(row.comm, nowUs),
      row.argv === undefined ? null : JSON.stringify(row.argv),
      texts.idOf(row.exe, nowUs),
      texts.idOf(row.cwd, nowUs),
      texts.idOf(row.cgroup, nowUs),
      row.uid ?? null,
      row.loginUid ?? null,
      row.session ?? null,
      row.flags,
    ];
  }
}

function outcome({ endUs, durationUs, ended, status }: ImageRow): StoredValue[] {
  return [endUs ?? null, durationUs ?? null, ended, status ?? null];
}

function usage({ cpuUs, rssKib, readBytes, writeBytes }: ImageRow): StoredValue[] {
  return [cpuUs ?? null, rssKib ?? null, readBytes ?? null, writeBytes ?? null];
}
