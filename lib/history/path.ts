import { resolve } from "node:path";
import { checkString } from "../errors/arguments.ts";

/** An absolute path: SQLite would take one that begins with `file:` for a URI, and `:memory:` for no file. */
export function absolutePath(path: string, action: string): string {
  checkString(path, "path", action);
  if (path === "" || path.includes("\0")) {
    throw new TypeError(`Cannot ${action}: ${JSON.stringify(path)} is no name of a file`);
  }
  return resolve(path);
}
