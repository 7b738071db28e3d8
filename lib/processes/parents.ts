import type { MutableInfo, ProcessInfo } from "./info.ts";
import type { TableEntry } from "./table.ts";

/** The processes of a table. */
type Entries = ReadonlyMap<number, TableEntry>;

/** Notes the parent of a process, and up to `most` generations of parents. */
export function setParent(entries: Entries, info: MutableInfo, parentPid: number, most: number): void {
  info.parentPid = parentPid;
  info.parentComm = commOf(entries, parentPid);
  if (most > 0) info.parents = parentsOf(entries, parentPid, most);
}

/** The name of a process in the table. */
function commOf(entries: Entries, pid: number | undefined): string | undefined {
  return pid === undefined ? undefined : entries.get(pid)?.info.comm;
}

/**
 * The parent with this pid, its parent and so on, at most `most` of them. What a process knew of its own parents when it
 * was created stands, even if they have ended since.
 */
function parentsOf(
  entries: Entries,
  parentPid: number | undefined,
  most: number,
): ProcessInfo["parents"] {
  const parents: { readonly pid: number; readonly comm: string | undefined }[] = [];
  let pid = parentPid;
  while (pid !== undefined && pid > 0 && parents.length < most) {
    const info = entries.get(pid)?.info;
    parents.push({ pid, comm: info?.comm });
    if (info?.parents !== undefined) return [...parents, ...info.parents].slice(0, most);
    pid = info?.parentPid;
  }
  return parents;
}

/** Fills in the parents of processes that were read from /proc in the order of their numbers. */
export function completeParents(entries: Entries, most: number): void {
  const infos = [...entries.values()].map(({ info }) => info as MutableInfo);
  for (const info of infos) {
    info.parentComm ??= commOf(entries, info.parentPid);
    if (most > 0) info.parents = undefined;
  }
  if (most > 0) { for (const info of infos) info.parents = parentsOf(entries, info.parentPid, most); }
}
