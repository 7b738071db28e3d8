/** A summary of repeated measurements. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

/** The median and the range. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError("nothing was measured");
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle]!;
  const median = sorted.length % 2 === 1 ? upper : (sorted[middle - 1]! + upper) / 2;
  return { median, min: sorted[0]!, max: sorted[sorted.length - 1]!, count: sorted.length };
}

/**
 * The ratios of two measurements, round by round. Other load on the machine affects both measurements of a round, so the
 * ratio largely cancels it.
 */
export function ratios(subject: readonly number[], reference: readonly number[]): Summary {
  const rounds = Math.min(subject.length, reference.length);
  return summarize(Array.from({ length: rounds }, (_, round) => subject[round]! / reference[round]!));
}
