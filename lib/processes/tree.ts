import type { ForkEvent, ProcessEvent } from "./event.ts";
import { type ProcFs } from "../procfs/process.ts";
import { hasEnded, type ProcStat } from "../procfs/text.ts";

/** How many ended members are remembered: groups and sessions have their pids. */
const FORMER_LIMIT = 65_536;
/** How many ancestors are looked at to find a member: /proc may change meanwhile, so the chain need not end by itself. */
const DEPTH_LIMIT = 64;

/**
 * A process and its descendants, for as long as any of them lives: they stay members when their parents end, as the
 * daemons of a script do. It needs the forks and exits of processes, each once and in order, and `thread` of exits as
 * {@linkcode ThreadGroups} sets it.
 *
 * After a loss a synthetic fork has the parent that the child has now, and a real one may have a parent whose own fork was
 * lost. If that is not in the tree, the child is recognized
 * - by an ancestor in the tree;
 * - by its session or process group, if that was made in the tree: its number is still taken by a member, live or ended;
 * - by sharing both with what was in the tree at the start, if it has been given to a parent of another session;
 * - by its control group, if that had none but members at the start.
 *
 * What has left all three (a daemon that called setsid in a group that others share) is not found. Nor is a child that
 * was made with CLONE_PARENT by the root and has become another program before it could be looked at: to the kernel it
 * is the root's sibling, and only its memory is the root's.
 */
export class ProcessTree {
  readonly #members = new Set<number>();
  readonly #former = new Set<number>();
  /** Session and process group of those that were there at the start. */
  readonly #pairs = new Set<string>();
  #procFs: ProcFs | undefined;
  #startTimeTicks = 0;
  #parentOfRoot = 0;
  #cgroup: string | undefined;
  /** Events were lost since {@linkcode settle}: a fork may have a parent whose own fork was lost. */
  #incomplete = false;
  /** The process from which all came. */
  readonly root: number;

  /** A tree of one; see {@linkcode seed}. */
  constructor(root: number) {
    this.root = root;
    this.#members.add(root);
  }

  /** How many members live. */
  get size(): number {
    return this.#members.size;
  }

  /** Whether a process is in the tree. */
  has(pid: number): boolean {
    return this.#members.has(pid);
  }

  /**
   * Adds the present descendants of the root, by their parents in /proc. To be called after subscribing.
   *
   * @returns Whether the root is there at all.
   * @throws {SyscallError} When /proc cannot be listed.
   */
  seed(procFs: ProcFs): boolean {
    this.#procFs = procFs;
    const stats = new Map<number, ProcStat>();
    const children = new Map<number, number[]>();
    for (const pid of procFs.pids()) {
      const stat = procFs.stat(pid);
      if (stat === undefined || hasEnded(stat)) continue;
      stats.set(pid, stat);
      const siblings = children.get(stat.parentPid);
      if (siblings === undefined) children.set(stat.parentPid, [pid]);
      else siblings.push(pid);
    }
    const rootStat = stats.get(this.root);
    if (rootStat === undefined) return false;
    this.#startTimeTicks = rootStat.startTimeTicks;
    this.#parentOfRoot = rootStat.parentPid;
    const toVisit = [this.root];
    for (let pid = toVisit.pop(); pid !== undefined; pid = toVisit.pop()) {
      this.#members.add(pid);
      this.#pairs.add(pairOf(stats.get(pid)!));
      for (const child of children.get(pid) ?? []) if (child !== pid) toVisit.push(child);
    }
    const cgroup = procFs.cgroup(this.root);
    if (cgroup === undefined || cgroup === "/") return true;
    const isOwn = [...stats.keys()].every((pid) => this.#members.has(pid) || procFs.cgroup(pid) !== cgroup);
    if (isOwn) this.#cgroup = cgroup;
    return true;
  }

  /** Applies an event, and returns whether its process is, or was until now, in the tree. */
  apply(event: ProcessEvent): boolean {
    const members = this.#members;
    switch (event.type) {
      case "lost":
        this.#incomplete = true;
        return true;
      case "unknown":
        return false;
      case "fork":
        return event.thread ? members.has(event.pid) : this.#forked(event);
      case "exit":
        return event.thread ? members.has(event.pid) : this.#exited(event.pid);
      default:
        return members.has(event.pid);
    }
  }

  /** To be called when a comparison with /proc is over: every parent is known again. */
  settle(): void {
    this.#incomplete = false;
  }

  #forked({ parentPid, pid, synthetic }: ForkEvent): boolean {
    // Pids are reused.
    this.#former.delete(pid);
    const isMember = this.#members.has(parentPid) ||
      (synthetic !== true && this.#isClonedByRoot(parentPid, pid)) ||
      ((synthetic === true || this.#incomplete) && this.#isOrphan(pid));
    if (isMember) this.#members.add(pid);
    else this.#members.delete(pid);
    return isMember;
  }

  #exited(pid: number): boolean {
    if (!this.#members.delete(pid)) return false;
    if (this.#former.size >= FORMER_LIMIT) {
      for (const oldest of this.#former) {
        this.#former.delete(oldest);
        break;
      }
    }
    this.#former.add(pid);
    return true;
  }

  /** Whether a process came from the tree, although the parent that its fork names is not in it. */
  #isOrphan(pid: number, depth: number = 0): boolean {
    const stat = this.#procFs?.stat(pid);
    if (stat === undefined || stat.startTimeTicks < this.#startTimeTicks || stat.kernelThread) return false;
    const { session, processGroup, parentPid } = stat;
    if (this.#members.has(parentPid) || this.#isOurs(session) || this.#isOurs(processGroup)) return true;
    // A process that leads no session and whose parent is of another one has been given to that parent.
    if (this.#pairs.has(pairOf(stat)) && this.#procFs!.stat(parentPid)?.session !== session) return true;
    const cgroup = this.#cgroup === undefined ? undefined : this.#procFs!.cgroup(pid);
    if (cgroup !== undefined && (cgroup === this.#cgroup || cgroup.startsWith(`${this.#cgroup}/`))) {
      return true;
    }
    // Its parent may have come from the tree, and its fork have been lost.
    return depth < DEPTH_LIMIT && parentPid > 1 && parentPid !== this.#parentOfRoot &&
      this.#isOrphan(parentPid, depth + 1);
  }

  #isOurs(pid: number): boolean {
    return this.#members.has(pid) || this.#former.has(pid);
  }

  /** Whether the root has made itself a sibling: its stack starts where the root's does, and the parent's elsewhere. */
  #isClonedByRoot(parentPid: number, pid: number): boolean {
    if (parentPid !== this.#parentOfRoot || !this.#members.has(this.root)) return false;
    const child = this.#procFs?.stat(pid)?.stackStart ?? 0;
    return child !== 0 && child === this.#procFs!.stat(this.root)?.stackStart &&
      child !== this.#procFs!.stat(parentPid)?.stackStart;
  }
}

function pairOf({ session, processGroup }: ProcStat): string {
  return `${session} ${processGroup}`;
}
