import { mkdirSync } from "node:fs";
import { dirname } from "node:path";

/** Makes the folder of a file of the command's own; that others cannot read what is in it. */
export function makeFolderOf(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
  } catch {
    // that the file cannot be made is reported then
  }
}
