import type { ProcessEvent } from "./event.ts";
import type { ProcessWatchStats } from "./stats.ts";

/** What a stage may ask about the queue behind its batch. */
export interface BatchContext {
  /** Whether nothing is queued behind this batch, as far as is known. */
  readonly drained: boolean;
  /** Receives what has been queued meanwhile, without waiting; these events will be the next batch. */
  peek(): readonly ProcessEvent[];
}

/** The statistics that stages know. */
export type StageStats = Partial<Pick<ProcessWatchStats, "commandLines" | "undecided" | "usage">>;

/** A step that every batch passes on its way to the reader. */
export interface Stage {
  /** Called once, before the kernel is asked for a subscription. What it throws closes the watch. */
  prepare?(): void;
  /** Called once, as soon as the kernel has acknowledged the subscription. What it throws closes the watch. */
  start?(): void;
  /** Takes in a batch, which may be empty, and returns what the next stage gets: it may change and keep the array. */
  process(batch: ProcessEvent[], context: BatchContext): ProcessEvent[];
  /** In how many milliseconds `process` is to be called even without events; undefined for never. */
  nextDeadlineMs?(): number | undefined;
  /** Whether all that the watch was opened for has ended: then this batch is its last. */
  isOver?(): boolean;
  /** What the stage adds to the statistics of the watch. */
  stats?(): StageStats;
  /** Releases what was acquired. Called once, also if `prepare` or `start` of any stage has thrown. */
  close?(): void;
}

/** Stages in their order. */
export class Pipeline {
  readonly #stages: readonly Stage[];

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
  }

  /** Prepares every stage. */
  prepare(): void {
    for (const stage of this.#stages) stage.prepare?.();
  }

  /** Starts every stage. */
  start(): void {
    for (const stage of this.#stages) stage.start?.();
  }

  /** Passes a batch through every stage. */
  process(batch: ProcessEvent[], context: BatchContext): ProcessEvent[] {
    let events = batch;
    for (const stage of this.#stages) events = stage.process(events, context);
    return events;
  }

  /** The earliest moment at which a stage wants to be called, in milliseconds from now. */
  nextDeadlineMs(): number | undefined {
    let earliest: number | undefined;
    for (const stage of this.#stages) {
      const ms = stage.nextDeadlineMs?.();
      if (ms !== undefined && (earliest === undefined || ms < earliest)) earliest = ms;
    }
    return earliest;
  }

  /** Whether a stage has seen the end of what the watch was opened for. */
  isOver(): boolean {
    return this.#stages.some((stage) => stage.isOver?.() === true);
  }

  /** What the stages add to the statistics of the watch. */
  stats(): StageStats {
    return Object.assign({}, ...this.#stages.map((stage) => stage.stats?.()));
  }

  /** Closes every stage. */
  close(): void {
    for (const stage of this.#stages) stage.close?.();
  }
}
