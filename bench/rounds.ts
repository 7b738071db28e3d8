/** One thing that is measured in every round. */
export interface Subject<T> {
  readonly name: string;
  run(): Promise<T>;
}

/** What each subject gave in each round, in order. A subject that failed once is left out, and why is in `problems`. */
export interface Outcome<T> {
  readonly samples: ReadonlyMap<string, readonly T[]>;
  readonly problems: readonly string[];
}

/**
 * A B C A B C: every subject in turn, several times, so that whatever else the machine does in the meantime touches
 * all of them alike.
 */
export async function interleave<T>(rounds: number, subjects: readonly Subject<T>[]): Promise<Outcome<T>> {
  const samples = new Map<string, T[]>(subjects.map(({ name }) => [name, []]));
  const problems: string[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const { name, run } of subjects) {
      const list = samples.get(name);
      if (list === undefined) continue;
      try {
        list.push(await run());
      } catch (error) {
        samples.delete(name);
        problems.push((error as Error).message);
      }
    }
  }
  return { samples, problems };
}
