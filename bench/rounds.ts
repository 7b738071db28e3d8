/** One thing that is measured in every round. */
export interface Subject<T> {
  readonly name: string;
  run(): Promise<T>;
}

/** The results of each subject, by round. A subject that failed once is left out, with the reason in `problems`. */
export interface Outcome<T> {
  readonly samples: ReadonlyMap<string, readonly T[]>;
  readonly problems: readonly string[];
}

/**
 * Runs every subject in turn, several times (A B C A B C), so that other load on the machine affects all of them
 * alike.
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
