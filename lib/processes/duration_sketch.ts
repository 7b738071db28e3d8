/** Buckets for each doubling: one spans 9 %. */
const PER_DOUBLING = 8;
/** log2 of the shortest duration that is distinguished from shorter ones: 1 µs. */
const FIRST = 10;
/** The last bucket holds everything above 36 years. */
const BUCKETS = 50 * PER_DOUBLING;

/**
 * A bounded summary of any number of durations: 400 counters whose limits grow by 9 % each. Count, shortest and longest
 * are exact; a quantile is off by at most 5 %.
 */
export class DurationSketch {
  #counts: Float64Array | undefined;
  /** How many durations were added. */
  count: number = 0;
  /** In nanoseconds; Infinity without any. */
  shortestNs: number = Infinity;
  /** In nanoseconds; 0 without any. */
  longestNs: number = 0;

  /** Adds a duration. A negative one, which two clocks can make, counts as 0. */
  add(ns: number): void {
    const duration = ns > 0 ? ns : 0;
    this.#counts ??= new Float64Array(BUCKETS);
    this.#counts[bucketOf(duration)]! += 1;
    this.count++;
    if (duration < this.shortestNs) this.shortestNs = duration;
    if (duration > this.longestNs) this.longestNs = duration;
  }

  /** The duration that a share of all does not exceed, in nanoseconds: 0.5 for the median. Undefined without any. */
  quantileNs(share: number): number | undefined {
    if (this.#counts === undefined) return undefined;
    const rank = Math.max(Math.ceil(share * this.count), 1);
    let bucket = 0;
    for (let seen = this.#counts[0]!; seen < rank; seen += this.#counts[bucket]!) bucket++;
    const middle = 2 ** (FIRST + (bucket + 0.5) / PER_DOUBLING);
    return Math.min(Math.max(middle, this.shortestNs), this.longestNs);
  }
}

function bucketOf(ns: number): number {
  const bucket = Math.floor((Math.log2(ns) - FIRST) * PER_DOUBLING);
  return bucket < 0 || Number.isNaN(bucket) ? 0 : Math.min(bucket, BUCKETS - 1);
}
