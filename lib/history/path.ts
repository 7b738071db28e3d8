import { statSync } from "node:fs";
import { resolve } from "node:path";
import { checkString } from "../errors/arguments.ts";
import { HistoryError } from "./history_error.ts";

/** An absolute path: SQLite would take one that begins with `file:` for a URI, and `:memory:` for no file. */
export function absolutePath(path: string, action: string): string {
  checkString(path, "path", action);
  if (path === "" || path.includes("\0")) {
    throw new TypeError(`Cannot ${action}: ${JSON.stringify(path)} is no name of a file`);
  }
  return resolve(path);
}

/**
 * Whether there is a file.
 *
 * @throws {HistoryError} If there is something else: to open a pipe would wait for its other end.
 */
export function isFile(path: string, action: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || stat.isFile()) return stat !== undefined;
  throw new HistoryError(`Cannot ${action}: it is ${stat.isDirectory() ? "a folder" : "no regular file"}`);
}
