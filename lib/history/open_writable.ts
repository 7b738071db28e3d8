import { closeSync, openSync } from "node:fs";
import { HistoryError } from "./history_error.ts";
import { type Database, explained, openDatabase } from "./sqlite.ts";

/** Command lines are secrets: others than the owner and the group must not read them. */
const MODE = 0o640;

/**
 * Opens or makes a database, to be its only writer.
 *
 * @throws {HistoryError} If it cannot be opened.
 */
export function openWritable(path: string, action: string): Database {
  let database: Database | undefined;
  try {
    closeSync(openSync(path, "a", MODE));
    database = openDatabase(path, action);
    // A power cut must not take more than the last second: each commit waits for the disk.
    database.exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16000");
    // Each statement with a trigger has a journal of its own, which would go to a file: 70 instead of 25 us a row.
    database.exec("PRAGMA temp_store = MEMORY");
    return database;
  } catch (error) {
    database?.close();
    throw explained(notOpened(error, action), action);
  }
}

/** The error of opening the file, in the words of SQLite's. */
function notOpened(error: unknown, action: string): unknown {
  const { code } = error as { code?: string };
  if (code === "EISDIR") return new HistoryError(`Cannot ${action}: it is a folder`);
  if (code === "ENOENT" || code === "EACCES") {
    return new Error("unable to open database file", { cause: error });
  }
  return code === "EROFS" ? new Error("attempt to write a readonly database", { cause: error }) : error;
}
