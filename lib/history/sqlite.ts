import process from "node:process";
import type { DatabaseSync } from "node:sqlite";
import { decodeText, encodeText } from "../wire/text.ts";
import { HistoryError } from "./history_error.ts";

/** An open database. */
export type Database = DatabaseSync;

/** What can be stored. */
export type StoredValue = string | number | bigint | null | Uint8Array;

/** How long a statement waits while another program writes, in milliseconds. */
const BUSY_MS = 5000;

/**
 * Opens a database by SQLite as the runtime brings it: the same class in Bun, Deno and Node. `path` is absolute: SQLite
 * takes one that begins with `file:` for a URI.
 */
export function openDatabase(path: string | URL, action: string, readOnly: boolean = false): Database {
  // Asked for only here: a runtime without it can still run everything else.
  const sqlite = process.getBuiltinModule?.("node:sqlite");
  if (sqlite === undefined) {
    throw new HistoryError(
      `Cannot ${action}: this runtime has no node:sqlite; use Node 26, Bun 1.4 or Deno 2.9, or later`,
    );
  }
  return new sqlite.DatabaseSync(path, { readOnly, timeout: BUSY_MS });
}

/** A text as it is stored: bytes that are not UTF-8, or hold a NUL, as a blob, so that nothing of them is lost. */
export function toStored(text: string | undefined): StoredValue {
  if (text === undefined) return null;
  return text.isWellFormed() && !text.includes("\0") ? text : encodeText(text);
}

/** The inverse. What somebody else has put there is shown as text. */
export function fromStored(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  return value instanceof Uint8Array ? decodeText(value) : String(value);
}

/**
 * What SQLite could not do. Its own words, as Deno's errors have no code for it.
 *
 * - `"full"`: no room;
 * - `"locked"`: another program writes for longer than a statement waits;
 * - `"read-only"`, `"cannot-open"`: not permitted, or not there;
 * - `"no-database"`, `"damaged"`: something else, or parts of it are overwritten;
 * - `"io"`: the disk fails.
 */
export type SqliteFailure =
  | "full"
  | "locked"
  | "read-only"
  | "cannot-open"
  | "no-database"
  | "damaged"
  | "io";

const FAILURES: readonly (readonly [RegExp, SqliteFailure])[] = [
  [/disk is full/, "full"],
  [/is locked/, "locked"],
  [/readonly database/, "read-only"],
  [/unable to open/, "cannot-open"],
  [/not a database/, "no-database"],
  [/malformed/, "damaged"],
  [/disk I\/O error/, "io"],
];

/** The same of errors of the file system. */
const FILE_FAILURES: Readonly<Record<string, SqliteFailure>> = {
  EACCES: "cannot-open",
  ELOOP: "cannot-open",
  ENAMETOOLONG: "cannot-open",
  ENOENT: "cannot-open",
  ENOTDIR: "cannot-open",
  EPERM: "cannot-open",
  EROFS: "read-only",
  EDQUOT: "full",
  ENOSPC: "full",
  EIO: "io",
};

/** The reason of an error of SQLite or of the file system; undefined for any other error. */
export function sqliteFailure(error: unknown): SqliteFailure | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && Object.hasOwn(FILE_FAILURES, code)) return FILE_FAILURES[code];
  return FAILURES.find(([pattern]) => pattern.test(error.message))?.[1];
}

const EXPLANATIONS: Readonly<Record<SqliteFailure, string>> = {
  "full": "the disk is full",
  "locked": "another program has locked it",
  "read-only": "it must not be written: check its permissions and those of its folder",
  "cannot-open": "it cannot be opened: check that the folder exists, and the permissions of both",
  "no-database": "it is no SQLite database",
  "damaged": "it is damaged: sqlite3 FILE .recover may save what is in it",
  "io": "the disk reports an error",
};

/** The error for one of SQLite or of the file system; others are passed on as they are. `action` completes "Cannot …". */
export function explained(error: unknown, action: string): unknown {
  const failure = sqliteFailure(error);
  if (failure === undefined) return error;
  return new HistoryError(`Cannot ${action}: ${EXPLANATIONS[failure]}`, { cause: error });
}

/** Runs statements in a transaction that is taken at once; after a failure nothing of it has happened. */
export function transaction(database: Database, statements: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    statements();
    database.exec("COMMIT");
  } catch (error) {
    // SQLite itself rolls back when the disk is full.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
