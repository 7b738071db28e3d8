import type { ProcEvent } from "../protocols/proc/event.ts";
import { hasEnded, type ProcFs } from "./proc_fs.ts";
import type { ProcessTable } from "./table.ts";

/**
 * Whether a process is another's descendant, or that itself, by the parents that the table knows. A process whose
 * parent has ended has lost its line: {@linkcode ProcessTree} follows a tree through time.
 */
export function isDescendant(table: ProcessTable, pid: number, ancestor: number): boolean {
  // A parent is older than its child, so a line ends; but numbers come round again.
  for (let current = pid, steps = table.size + 1; steps > 0; steps--) {
    if (current === ancestor) return true;
    const parent = table.get(current)?.parentPid;
    if (parent === undefined || parent === 0) return false;
    current = parent;
  }
  return false;
}

/**
 * A process with all that came from it, for as long as any of them lives: who is in stays in when a parent ends, as the
 * daemons of a script do. It needs nothing but the forks and exits of processes, each once and in order, and of an exit
 * whether it is a thread's: {@linkcode ThreadGroups} knows.
 *
 * A fork that was lost leaves its child out, unless a synthetic fork tells it while its parent still lives.
 */
export class ProcessTree {
  readonly #members = new Set<number>();
  /** The process from which all came. */
  readonly root: number;

  /** A tree of one; see {@linkcode seed}. */
  constructor(root: number) {
    this.root = root;
    this.#members.add(root);
  }

  /** How many of it live. */
  get size(): number {
    return this.#members.size;
  }

  /** Whether a process is in the tree. */
  has(pid: number): boolean {
    return this.#members.has(pid);
  }

  /**
   * Takes in the root's descendants of now, by their parents in /proc. To be called after subscribing.
   *
   * @returns Whether the root is there at all.
   * @throws {SyscallError} When /proc cannot be listed.
   */
  seed(procFs: ProcFs): boolean {
    const children = new Map<number, number[]>();
    let found = false;
    for (const pid of procFs.pids()) {
      const stat = procFs.stat(pid);
      if (stat === undefined || hasEnded(stat)) continue;
      if (pid === this.root) found = true;
      const siblings = children.get(stat.parentPid);
      if (siblings === undefined) children.set(stat.parentPid, [pid]);
      else siblings.push(pid);
    }
    const toVisit = found ? [this.root] : [];
    for (let pid = toVisit.pop(); pid !== undefined; pid = toVisit.pop()) {
      this.#members.add(pid);
      for (const child of children.get(pid) ?? []) if (child !== pid) toVisit.push(child);
    }
    return found;
  }

  /** Takes in an event, and answers whether the process that it is about is, or was until now, in the tree. */
  apply(event: ProcEvent): boolean {
    const members = this.#members;
    switch (event.type) {
      case "lost":
        return true;
      case "unknown":
        return false;
      case "fork":
        return event.thread ? members.has(event.childPid) : this.#forked(event.parentPid, event.childPid);
      case "exit":
        return event.thread ? members.has(event.pid) : members.delete(event.pid);
      default:
        return members.has(event.pid);
    }
  }

  #forked(parentPid: number, childPid: number): boolean {
    const isMember = this.#members.has(parentPid);
    // A number that comes round again is another process.
    if (isMember) this.#members.add(childPid);
    else this.#members.delete(childPid);
    return isMember;
  }
}
