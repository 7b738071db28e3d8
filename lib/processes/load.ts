/** Beyond so many events a millisecond an eager watch pauses between looks as others do. */
const EAGER_EVENTS_PER_MS = 20;
/** The shortest time over which the rate is taken. */
const MEASURED_MS = 10;

/** How fast events come. */
export class LoadMeter {
  #since: number = performance.now();
  #count = 0;
  /** Whether they come so fast that looking after every wake-up would cost more than it finds. */
  fast = false;

  /** To be told how many each look found. */
  note(count: number): void {
    this.#count += count;
    const now = performance.now();
    const elapsed = now - this.#since;
    if (elapsed < MEASURED_MS) return;
    this.fast = this.#count > elapsed * EAGER_EVENTS_PER_MS;
    this.#since = now;
    this.#count = 0;
  }
}
