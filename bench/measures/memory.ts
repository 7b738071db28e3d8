import { ourContender } from "../contenders.ts";
import { measure } from "../measure.ts";
import { summarize } from "../median.ts";
import { residentBytes } from "../proc.ts";
import { interleave } from "../rounds.ts";
import type { Measure, Section } from "../section.ts";

const MIB = 1 << 20;

/** Resident memory, and whether it grows in a minute of storm. */
export const memory: Measure = {
  name: "memory",
  async run({ programs, runtimes, quick }): Promise<Section> {
    const seconds = quick ? 1 : 60;
    const rate = quick ? 1000 : 100_000;
    const storm = { kind: "comm", count: rate * seconds, rate } as const;
    const { samples, problems } = await interleave(
      1,
      runtimes.map((runtime) => {
        const contender = ourContender(runtime, "batches");
        return {
          name: contender.name,
          run: async () => {
            const resident: number[] = [];
            const observer = {
              everyMs: quick ? 100 : 500,
              during: (pid: number) => resident.push(residentBytes(pid)),
            };
            const run = await measure(programs, contender, storm, observer);
            return { resident, problems: run.problems };
          },
        };
      }),
    );
    const lines = [...samples].flatMap(([name, [sample]]) => {
      const { resident } = sample!;
      // Memory rises and falls with garbage collection, so medians of thirds are compared. The first third is warm-up.
      const third = Math.floor(resident.length / 3);
      const middle = summarize(resident.slice(third, 2 * third));
      const late = summarize(resident.slice(2 * third));
      return [
        { subject: `${name}, second third`, value: scaled(middle), unit: "MiB" },
        {
          subject: `${name}, last third`,
          value: scaled(late),
          unit: "MiB",
          against: "second third",
          ratio: {
            median: late.median / middle.median,
            min: late.min / middle.max,
            max: late.max / middle.min,
            count: 1,
          },
          goal: { most: 1.05 },
        },
      ];
    });
    return {
      title: "Memory over time",
      text: `Resident memory in a COMM storm of ${seconds} s at ${
        rate.toLocaleString("en")
      } events a second.`,
      lines,
      problems: [...problems, ...[...samples.values()].flat().flatMap((sample) => sample.problems)],
    };
  },
};

function scaled({ median, min, max, count }: ReturnType<typeof summarize>): ReturnType<typeof summarize> {
  return { median: median / MIB, min: min / MIB, max: max / MIB, count };
}
