import type { ExitEvent, ForkEvent, ProcessEvent, ProcessInfo } from "../../../../mod.ts";
import { LossSum } from "../../../processes/loss_sum.ts";

/** How long an ended process stays. */
const STAY_MS = 5000;
/** How many ended processes of one parent stay, and how many of all. */
const STAY_BY_PARENT = 10;
const STAY_AT_MOST = 2000;

/** A process in the tree. */
export interface TreeNode {
  readonly pid: number;
  info: ProcessInfo;
  parent: TreeNode | undefined;
  readonly children: Set<TreeNode>;
  /** When its start was seen; undefined if it existed before. */
  readonly startedMs: number | undefined;
  /** How it ended, once it has. */
  end: { readonly event: ExitEvent; readonly ms: number } | undefined;
  /** What those below have done that are not shown any more. */
  readonly gone: Sums;
  /** Whether the user has hidden what is below. */
  collapsed: boolean;
}

/** What a branch has done. */
export interface Sums {
  /** Processes that are running. */
  running: number;
  /** Processes that have started, and of these that have failed, since the tree is watched. */
  starts: number;
  failed: number;
}

/** The tree of processes, kept by events. Ended processes stay for five seconds. */
export class LiveTree {
  readonly #parentOf: (pid: number) => number | undefined;
  readonly #running = new Map<number, TreeNode>();
  /** Those that have ended and are still shown, oldest first. */
  readonly #ended = new Set<TreeNode>();
  readonly #roots = new Set<TreeNode>();
  /** Those of a snapshot that have no parent yet. */
  #found: TreeNode[] = [];
  /** What was lost on the way here. */
  readonly losses: LossSum = new LossSum();

  /** `parentOf` finds the present parent of a process, for those whose parent has ended. */
  constructor(parentOf: (pid: number) => number | undefined) {
    this.#parentOf = parentOf;
  }

  /** The processes whose parents are not in the tree. */
  get roots(): ReadonlySet<TreeNode> {
    return this.#roots;
  }

  /** A running process. */
  get(pid: number): TreeNode | undefined {
    return this.#running.get(pid);
  }

  /** Adds processes that exist, in the order in which they started. */
  fill(infos: Iterable<ProcessInfo>): void {
    for (const info of infos) this.#add(info, undefined);
    this.#attachFound();
  }

  /** Applies events. */
  apply(batch: readonly ProcessEvent[], nowMs: number): void {
    for (const event of batch) this.#apply(event, nowMs);
    if (this.#found.length > 0) this.#attachFound();
    this.prune(nowMs);
  }

  /** Removes those that ended more than five seconds ago. */
  prune(nowMs: number): void {
    for (const node of this.#ended) {
      if (this.#ended.size <= STAY_AT_MOST && nowMs - node.end!.ms < STAY_MS) return;
      this.#remove(node);
    }
  }

  #apply(event: ProcessEvent, nowMs: number): void {
    switch (event.type) {
      case "lost":
        return this.losses.add(event);
      case "unknown":
        return;
      case "fork":
        if (!event.thread) this.#fork(event, nowMs);
        return;
      case "exit":
        if (!event.thread) this.#exit(event, nowMs);
        return;
      default: {
        const node = this.#running.get(event.pid);
        if (node !== undefined && event.process !== undefined) node.info = event.process;
      }
    }
  }

  #fork({ pid, parentPid, process, synthetic }: ForkEvent, nowMs: number): void {
    if (process === undefined) return;
    const known = this.#running.get(pid);
    if (known !== undefined) {
      // It was found in /proc before its event came, or its exit was lost and the pid reused.
      if (known.info.startTimeTicks === process.startTimeTicks && process.startTimeTicks !== undefined) {
        return;
      }
      this.#running.delete(pid);
      this.#remove(known);
    }
    if (synthetic === true) this.#add(process, undefined);
    else this.#attach(this.#add(process, nowMs), this.#running.get(parentPid));
  }

  /** Gives those that were found in /proc their parents, of which some have started later. */
  #attachFound(): void {
    for (const node of this.#found) {
      const { parentPid } = node.info;
      const parent = parentPid === undefined ? undefined : this.#running.get(parentPid);
      if (node.end === undefined) this.#attach(node, parent);
    }
    this.#found = [];
  }

  #add(info: ProcessInfo, startedMs: number | undefined): TreeNode {
    const node: TreeNode = {
      pid: info.pid,
      info,
      parent: undefined,
      children: new Set(),
      startedMs,
      end: undefined,
      gone: { running: 0, starts: 0, failed: 0 },
      collapsed: false,
    };
    this.#running.set(info.pid, node);
    if (startedMs === undefined) this.#found.push(node);
    this.#roots.add(node);
    return node;
  }

  #exit(event: ExitEvent, nowMs: number): void {
    const node = this.#running.get(event.pid);
    if (node === undefined) return;
    this.#running.delete(event.pid);
    node.end = { event, ms: nowMs };
    if (event.process !== undefined) node.info = event.process;
    this.#ended.add(node);
    if (node.parent !== undefined) this.#limit(node.parent);
  }

  /** Removes the ended children of a process that are too many: the oldest that have not failed, if there are any. */
  #limit({ children }: TreeNode): void {
    const ended = [...children].filter(({ end }) => end !== undefined);
    if (ended.length <= STAY_BY_PARENT) return;
    this.#remove(ended.find((child) => !hasFailed(child)) ?? ended[0]!);
  }

  /** Takes a node out of the tree; its children get the parents that they have now. */
  #remove(node: TreeNode): void {
    this.#ended.delete(node);
    this.#roots.delete(node);
    const { parent, children } = node;
    parent?.children.delete(node);
    if (parent !== undefined) addSums(parent.gone, ownSums(node, 0));
    for (const child of children) {
      const now = child.end === undefined ? this.#parentOf(child.pid) : parent?.pid;
      const heir = now === undefined ? undefined : this.#running.get(now);
      this.#attach(child, heir ?? parent);
    }
  }

  #attach(node: TreeNode, wanted: TreeNode | undefined): void {
    // With pids that are reused after losses, a parent may seem to come from its child.
    const parent = isBelow(wanted, node) ? undefined : wanted;
    node.parent?.children.delete(node);
    node.parent = parent;
    if (parent === undefined) this.#roots.add(node);
    else {
      this.#roots.delete(node);
      parent.children.add(node);
    }
  }
}

/** Whether a process is another one, or below it. */
function isBelow(node: TreeNode | undefined, other: TreeNode): boolean {
  for (let at = node; at !== undefined; at = at.parent) if (at === other) return true;
  return false;
}

/** What a process itself and those below it that are gone have done. */
export function ownSums(node: TreeNode, running: number = node.end === undefined ? 1 : 0): Sums {
  const { startedMs, gone } = node;
  return {
    running: gone.running + running,
    starts: gone.starts + (startedMs === undefined ? 0 : 1),
    failed: gone.failed + (hasFailed(node) ? 1 : 0),
  };
}

function hasFailed({ end }: TreeNode): boolean {
  return end !== undefined && end.event.status !== null && end.event.status !== 0;
}

/** Adds sums to others. */
export function addSums(to: Sums, { running, starts, failed }: Sums): void {
  to.running += running;
  to.starts += starts;
  to.failed += failed;
}
