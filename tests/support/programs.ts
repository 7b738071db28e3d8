import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** The path of a program, or undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  for (const folder of `${process.env.PATH ?? ""}:/usr/sbin:/sbin`.split(":")) {
    const path = join(folder === "" ? "." : folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}
