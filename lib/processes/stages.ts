import { ProcessGoneError } from "../errors/process_gone_error.ts";
import type { ProcFs } from "../procfs/process.ts";
import type { ProcessEvent } from "./event.ts";
import { type CheckedFilter, wanted } from "./event_filter.ts";
import type { FollowedProcesses } from "./followed.ts";
import type { Stage } from "./pipeline.ts";
import { type CheckedProcessFilter, matchEvent } from "./process_filter.ts";
import type { Resync, SyntheticEvent } from "./resync.ts";
import type { ProcessTable } from "./table.ts";
import type { ThreadGroups } from "./thread_group.ts";
import type { ProcessTree } from "./tree.ts";

/**
 * Distinguishes the exits of processes from those of threads.
 *
 * @param seeds Reads the threads of `pids`, or of all processes, from /proc: at the start and after a loss. A table
 * does that itself.
 */
export function threadStage(
  groups: ThreadGroups,
  { withoutThreads, pids }: CheckedFilter,
  seeds: boolean,
): Stage {
  return {
    start() {
      if (seeds) groups.seed(pids);
    },
    process(batch, context) {
      groups.apply(batch, withoutThreads, () => context.peek());
      // Reading while losses go on would only make them worse.
      if (seeds && groups.wantsSeed && context.drained) groups.seed(pids);
      return batch;
    },
  };
}

/** Fills the table at the start, unless {@linkcode snapshotStage} does, and gives each event its `process`. */
export function tableStage(table: ProcessTable, seeds: boolean): Stage {
  return {
    prepare() {
      table.programs.commandLines.open();
    },
    start() {
      if (seeds) table.seed();
    },
    process(batch, context) {
      table.apply(batch);
      // What was read may be of a later program of the process: the next events show it.
      if (table.programs.hasPending) table.programs.reconcile(context.peek());
      return batch;
    },
    stats: () => ({ commandLines: table.programs.commandLines.stats() }),
    close() {
      table.programs.commandLines[Symbol.dispose]();
    },
  };
}

/** Fills the table, and puts `fork` and `exec` events of its processes before all others. */
export function snapshotStage(resync: Resync, isShown: (pid: number) => boolean): Stage {
  let events: SyntheticEvent[] = [];
  return {
    start() {
      events = resync.start().filter(({ pid }) => isShown(pid));
    },
    process(batch) {
      if (events.length === 0) return batch;
      const all = [...events, ...batch];
      events = [];
      return all;
    },
    nextDeadlineMs: () => events.length > 0 ? 0 : undefined,
  };
}

/** Puts behind a batch what a comparison with /proc has found after a loss. */
export function resyncStage(resync: Resync): Stage {
  return {
    process(batch, { drained }) {
      const events = resync.update(batch, drained);
      return events.length === 0 ? batch : [...batch, ...events];
    },
    nextDeadlineMs: () => resync.dueMs(),
  };
}

/**
 * Chooses a process and its descendants. It is two stages around the table: who belongs to the tree must be known
 * before the table reads anything, and the table needs the forks and exits of all processes.
 */
export class TreeSelection {
  readonly #tree: ProcessTree;
  readonly #resync: Resync;
  /** Events of the batch that are about others. */
  readonly #outside = new Set<ProcessEvent>();
  /** Processes that had an event in the tree in this batch: its exit may have taken them out of it. */
  readonly #involved = new Set<number>();
  /** Before the table. */
  readonly mark: Stage;
  /** After the resync. */
  readonly select: Stage;

  constructor(tree: ProcessTree, resync: Resync, procFs: ProcFs) {
    this.#tree = tree;
    this.#resync = resync;
    this.mark = {
      start() {
        if (tree.seed(procFs)) return;
        throw new ProcessGoneError(`watch the tree of process ${tree.root}`, tree.root, "absent");
      },
      process: (batch) => {
        this.#outside.clear();
        this.#involved.clear();
        for (const event of batch) this.#mark(event);
        return batch;
      },
    };
    this.select = {
      process: (batch) => {
        // Synthetic events have been added since.
        for (const event of batch) if ((event as SyntheticEvent).synthetic === true) this.#mark(event);
        if (!resync.pending) tree.settle();
        return this.#outside.size === 0 ? batch : batch.filter((event) => !this.#outside.has(event));
      },
      isOver: () => tree.size === 0 && !resync.pending,
    };
  }

  /** Whether a process is in the tree, or may be: during a comparison that is not known yet. */
  has(pid: number): boolean {
    return this.#tree.has(pid) || this.#involved.has(pid) || this.#resync.comparing;
  }

  #mark(event: ProcessEvent): void {
    if (!this.#tree.apply(event)) this.#outside.add(event);
    else if (event.pid !== undefined) this.#involved.add(event.pid);
  }
}

/** Chooses processes by number, until the last of them has ended. */
export function followedStage(followed: FollowedProcesses, pids: ReadonlySet<number>): Stage {
  return {
    start() {
      followed.begin(pids);
    },
    process(batch, { drained }) {
      const events = batch.filter((event) => followed.apply(event));
      followed.settle(drained);
      return events;
    },
    nextDeadlineMs: () => followed.dueMs(),
    isOver: () => followed.size === 0,
  };
}

/** Chooses events by what they and their processes are. Losses always pass. */
export function filterStage(filter: CheckedFilter, byProcess: CheckedProcessFilter | undefined): Stage {
  let undecided = 0;
  const passes = (event: ProcessEvent): boolean => {
    if (event.type === "lost") return true;
    if (!wanted(filter, event)) return false;
    if (byProcess === undefined) return true;
    const match = matchEvent(byProcess, event);
    if (match === undefined) undecided++;
    return match === true;
  };
  return {
    process(batch) {
      // Nearly always all of them pass.
      for (let i = 0; i < batch.length; i++) {
        if (!passes(batch[i]!)) return [...batch.slice(0, i), ...batch.slice(i + 1).filter(passes)];
      }
      return batch;
    },
    stats: () => ({ undecided }),
  };
}
