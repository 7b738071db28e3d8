import type { LostEvent } from "../lost_event.ts";

/** The sum of the losses of a stream, as its consumer sees them. */
export class LossSum {
  /** Lost events, as far as they could be counted. */
  lost: number = 0;
  /** How often an unknown number of events was lost. */
  uncountedLosses: number = 0;

  /** Adds a loss. */
  add({ count }: Pick<LostEvent, "count">): void {
    if (count === undefined) this.uncountedLosses++;
    else this.lost += count;
  }
}
