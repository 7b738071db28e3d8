import { type Contender, ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Bench, Line, Measure, Section } from "../section.ts";
import { prepareStorm, type Storm, type StormResult } from "../storms.ts";

/** Where the filter is; and for comparison, that there is none, and that nobody listens at all. */
const PLACES = ["kernel", "bpf", "typescript"] as const;
const EVERYTHING = "no filter";
const NOBODY = "nobody listens";

/** The watcher's cost of an event that it did not ask for, for each place where it can be discarded. */
export const filter: Measure = {
  name: "filter",
  async run(all): Promise<Section> {
    const bench = all.quick ? { ...all, runtimes: all.runtimes.slice(0, 1) } : all;
    const storm = { kind: "vfork", count: bench.quick ? 500 : 100_000 } as const;
    const { samples, problems } = await runPlaced(bench, storm);
    const atRest = await runPlaced(bench, { kind: "vfork", count: 1 });
    const lines = bench.runtimes.flatMap(({ name }): Line[] => {
      // The runtime and the start of the watch cost as much as many thousand events.
      const cost = (place: string): number[] | undefined => {
        const rest = atRest.samples.get(`${name}, ${place}`)?.map(cpuNs);
        return samples.get(`${name}, ${place}`)?.map((run, round) =>
          (cpuNs(run) - rest![round]!) / (2 * storm.count)
        );
      };
      const delivered = cost(EVERYTHING);
      if (delivered === undefined) return [];
      const everything = { subject: `${name}, ${EVERYTHING}`, value: summarize(delivered), unit: "ns" };
      return [
        everything,
        ...PLACES.flatMap((place): Line[] => {
          const values = cost(place);
          if (values === undefined) return [];
          const goal = place === "typescript" ? undefined : { most: 0.02 };
          const line = { ...everything, subject: `${name}, ${place}`, value: summarize(values) };
          return [{ ...line, against: EVERYTHING, ratio: ratios(values, delivered), ...(goal && { goal }) }];
        }),
      ];
    });
    return {
      title: "CPU per discarded event, in the watcher",
      text:
        `CPU of a watcher with \`events: ["exec"]\` under a storm of ${
          storm.count.toLocaleString("en")
        } forks and ` +
        "as many exits, minus the CPU of the same program without a storm, divided by the events that occurred.",
      lines,
      problems: [...problems, ...atRest.problems],
    };
  },
};

/** The cost of the same event for the program that causes it. */
export const filterProducer: Measure = {
  name: "filter-producer",
  async run(bench): Promise<Section> {
    const storm = { kind: "comm", count: bench.quick ? 20_000 : 1_000_000 } as const;
    const [runtime] = bench.runtimes;
    const alone: StormResult[] = [];
    const { samples, problems } = await runPlaced({ ...bench, runtimes: [runtime!] }, storm, async () => {
      alone.push(await prepareStorm(bench.programs, storm).run());
    });
    const values = new Map([
      [NOBODY, alone.map(timeOf)],
      ...[...samples].map(([name, runs]): [string, number[]] => [name, runs.map((run) => timeOf(run.storm))]),
    ]);
    const nobody = values.get(NOBODY)!;
    return {
      title: "Time per discarded event, in the program that causes it",
      text: `The time of one prctl(PR_SET_NAME), averaged over ${
        storm.count.toLocaleString("en")
      }, depending on who watches.`,
      lines: [...values].map(([subject, times]) => ({
        subject,
        value: summarize(times),
        unit: "ns",
        ...(subject !== NOBODY && { against: NOBODY, ratio: ratios(times, nobody) }),
      })),
      problems,
    };
  },
};

/** Every runtime with the filter in each place and without, under the same storm, in turn. */
async function runPlaced(
  { programs, runtimes, rounds }: Bench,
  storm: Storm,
  alone?: () => Promise<void>,
): Promise<{ samples: ReadonlyMap<string, readonly Run[]>; problems: readonly string[] }> {
  const contenders = runtimes.flatMap((runtime): Contender[] => [
    { ...ourContender(runtime, "placed"), name: `${runtime.name}, ${EVERYTHING}` },
    ...PLACES.map((place) => ({
      ...ourContender(runtime, "placed", { place }),
      name: `${runtime.name}, ${place}`,
    })),
  ]);
  const subjects = contenders.map((contender) => ({
    name: contender.name,
    run: () => measure(programs, contender, storm),
  }));
  const outcome = await interleave<Run | void>(rounds, [
    ...(alone === undefined ? [] : [{ name: NOBODY, run: alone }]),
    ...subjects,
  ]);
  const samples = new Map(outcome.samples as ReadonlyMap<string, readonly Run[]>);
  samples.delete(NOBODY);
  // The others are meant to miss what they did not ask for.
  const counted = [...samples].flatMap(([name, runs]) => name.endsWith(EVERYTHING) ? runs : []);
  return { samples, problems: [...outcome.problems, ...counted.flatMap((run) => run.problems)] };
}

function cpuNs({ report }: Run): number {
  const { user, system } = report.cpuNs ?? { user: NaN, system: NaN };
  return user + system;
}

function timeOf(storm: StormResult): number {
  return storm.elapsedNs / storm.count;
}
