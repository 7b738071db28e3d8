import type { ProcessLostEvent } from "./event.ts";

/** Larger processor numbers are invalid. */
const MAX_CPU = 65_535;

/**
 * Counts losses from two sources. The kernel's drop counter is exact but for events for which it could not
 * even allocate memory; gaps in a processor's sequence show every loss, but only where no filter hides events, and
 * only once the processor's next event arrives. So the number lost is the larger of the two, and it only grows.
 */
export class LossCounter {
  /** How many were reported as lost. */
  lost = 0;
  readonly #bySequence: boolean;
  readonly #next: number[] = [];
  readonly #lastNs: bigint[] = [];
  /** What the drop counter said last. */
  drops: number;
  #dropped = 0;
  #missing = 0;
  #sinceNs = 0n;

  /** `drops` is what the counter says at the start. */
  constructor(bySequence: boolean, drops: number) {
    this.#bySequence = bySequence;
    this.drops = drops;
  }

  /** Counts an event or an acknowledgement, in the order of arrival; returns the loss before it. */
  observe(cpu: number, seq: number, timestampNs: bigint): ProcessLostEvent | undefined {
    this.#sinceNs = timestampNs;
    if (!this.#bySequence || cpu > MAX_CPU) return undefined;
    const expected = this.#next[cpu];
    this.#next[cpu] = (seq + 1) >>> 0;
    const sinceNs = this.#lastNs[cpu];
    this.#lastNs[cpu] = timestampNs;
    if (expected === undefined || expected === seq) return undefined;
    const gap = (seq - expected) >>> 0;
    if (gap >= 0x8000_0000) {
      // Late, as kernels before 4.8 may be: it does not move the expectation back.
      this.#next[cpu] = expected;
      return undefined;
    }
    this.#missing += gap;
    return this.#report([cpu], sinceNs!, timestampNs);
  }

  /** Marks a moment at which nothing was lost or unread. */
  checkpoint(nowNs: bigint): void {
    this.#sinceNs = nowNs;
  }

  /** Compares with the drop counter; returns the loss that no gap has shown yet. `nowNs` is called only for a loss. */
  reconcile(drops: number, nowNs: () => bigint): ProcessLostEvent | undefined {
    if (drops === this.drops) return undefined;
    this.#dropped += (drops - this.drops) >>> 0;
    this.drops = drops;
    if (this.#dropped <= this.lost) return undefined;
    const now = nowNs();
    const event = this.#report([], this.#sinceNs, now);
    this.#sinceNs = now;
    return event;
  }

  /** Continues with another socket, whose counter is at `drops`; when the old one died is unknown. */
  restart(drops: number, nowNs: bigint): ProcessLostEvent {
    this.drops = drops;
    const sinceNs = this.#sinceNs;
    this.#sinceNs = nowNs;
    return { type: "lost", count: undefined, where: "kernel", cpus: [], sinceNs, timestampNs: nowNs };
  }

  #report(cpus: readonly number[], sinceNs: bigint, timestampNs: bigint): ProcessLostEvent | undefined {
    const total = Math.max(this.#dropped, this.#missing);
    const count = total - this.lost;
    if (count <= 0) return undefined;
    this.lost = total;
    return { type: "lost", count, where: "kernel", cpus, sinceNs, timestampNs };
  }
}
