import { cContender, ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Measure, Section } from "../section.ts";

/** What an event costs that the user did not ask for: the watcher, and the program that makes it. */
export const filter: Measure = {
  name: "filter",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "comm", count: quick ? 20_000 : 1_000_000 } as const;
    const everything = runtimes.map((runtime) => ourContender(runtime, "batches"));
    const unwanted = runtimes.map((runtime) => ourContender(runtime, "idle", { events: "coredump" }));
    const contenders = [cContender(programs, "batch"), ...everything, ...unwanted];
    const { samples, problems } = await interleave(
      rounds,
      contenders.map((contender) => ({
        name: contender.name,
        run: () => measure(programs, contender, storm),
      })),
    );
    const ofWatcher = (run: Run) => {
      const { user, system } = run.report.cpuNs ?? { user: 0, system: 0 };
      return (user + system) / run.storm.count;
    };
    const ofProducer = (run: Run) => run.storm.elapsedNs / run.storm.count;
    const lines = runtimes.flatMap(({ name }) => {
      const delivered = samples.get(`${name} batches`);
      const filtered = samples.get(`${name} idle`);
      if (delivered === undefined || filtered === undefined) return [];
      return [
        { subject: `${name}, delivered`, value: summarize(delivered.map(ofWatcher)), unit: "ns" },
        {
          subject: `${name}, filtered out`,
          value: summarize(filtered.map(ofWatcher)),
          unit: "ns",
          against: "delivered",
          ratio: ratios(filtered.map(ofWatcher), delivered.map(ofWatcher)),
          goal: { most: 0.02 },
        },
        {
          subject: `${name}, the producer's time when delivered`,
          value: summarize(delivered.map(ofProducer)),
          unit: "ns",
        },
        {
          subject: `${name}, the producer's time when filtered out`,
          value: summarize(filtered.map(ofProducer)),
          unit: "ns",
        },
      ];
    });
    return {
      title: "A filtered-out event",
      text:
        'A COMM storm, watched with `events: ["coredump"]`: the filter runs in the kernel. CPU of the watcher for ' +
        "each event made, and the time that one prctl takes its caller.",
      lines,
      problems: [...problems, ...delivered(samples)],
    };
  },
};

/** Counts of the contenders that ask for everything; the others are meant to miss what they did not ask for. */
function delivered(samples: ReadonlyMap<string, readonly Run[]>): string[] {
  return [...samples].filter(([name]) => !name.endsWith(" idle")).flatMap(([, runs]) => runs).flatMap((run) =>
    run.problems
  );
}
