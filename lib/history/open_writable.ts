import { closeSync, openSync } from "node:fs";
import { isFile } from "./path.ts";
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
    isFile(path, action);
    closeSync(openSync(path, "a", MODE));
    database = openDatabase(path, action);
    // A power cut must not take more than the last second: each commit waits for the disk.
    database.exec("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -16000");
    // Each statement with a trigger has a journal of its own, which would go to a file: 70 instead of 25 us a row.
    database.exec("PRAGMA temp_store = MEMORY");
    return database;
  } catch (error) {
    database?.close();
    throw explained(error, action);
  }
}
