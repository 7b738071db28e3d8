import { readDirectory } from "../procfs/directory.ts";
import { RAISE_LIMIT } from "../errors/advice.ts";
import { readTextFile } from "../procfs/file.ts";
import { type Finding, ok, unknown, warn } from "./check.ts";
import type { ReadableScene } from "./context.ts";

/** A watch takes a socket, an epoll set, an eventfd and a file at a time; a runtime wants some for itself. */
const ENOUGH = 32;

/** How many descriptors are left. */
export function checkDescriptors({ files }: ReadableScene): Finding {
  const limits = readTextFile(files, "/proc/self/limits");
  const soft = /^Max open files\s+(\d+|unlimited)\s/m.exec(limits ?? "")?.[1];
  if (soft === undefined) return unknown("/proc/self/limits cannot be read");
  const limit = soft === "unlimited" ? Infinity : Number(soft);
  const used = [...readDirectory(files, "/proc/self/fd")].length;
  // Where folders cannot be listed, nothing is known of those in use.
  const finding = used === 0 ? `up to ${soft}` : `${used} of up to ${soft} are open`;
  return limit - used >= ENOUGH ? ok(finding) : warn(finding, RAISE_LIMIT);
}
