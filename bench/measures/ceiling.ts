import { cContender, type Contender, ourContender } from "../contenders.ts";
import { measure } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Bench, Measure, Section } from "../section.ts";

const SECONDS = 2;
const HIGHEST = 2_000_000;
const LOWEST = 100_000;
const STEPS = 5;

/** The highest rate of COMM events at which nothing is lost, with a buffer of 64 MiB. */
export const ceiling: Measure = {
  name: "ceiling",
  async run(bench): Promise<Section> {
    const { programs, runtimes, quick } = bench;
    const contenders = [
      cContender(programs, "wake"),
      cContender(programs, "batch"),
      ...runtimes.map((runtime) => ourContender(runtime, "batches", { buffer: 64 << 20 })),
    ];
    const problems: string[] = [];
    const run = (contender: Contender) => ({
      name: contender.name,
      run: () => highestRate(bench, contender, problems),
    });
    const outcome = await interleave(quick ? 1 : Math.min(3, bench.rounds), contenders.map(run));
    const { samples } = outcome;
    const best = ["C wake", "C batch"].filter((name) => samples.has(name)).reduce((a, b) =>
      summarize(samples.get(a)!).median >= summarize(samples.get(b)!).median ? a : b
    );
    return {
      title: "Highest event rate without loss",
      text:
        `The highest rate of a paced COMM storm of ${SECONDS} s at which nothing is lost, with a receive buffer of 64 MiB. ` +
        `Found by bisection in ${STEPS} steps. A storm that cannot reach the requested rate counts with the rate that it ` +
        "reached.",
      lines: [...samples].map(([name, values]) => ({
        subject: name,
        value: summarize(values),
        unit: "events/s",
        ...(name !== best && { against: best, ratio: ratios(values, samples.get(best)!) }),
        ...(!name.startsWith("C ") && { goal: { least: 0.95 } }),
      })),
      problems: [...problems, ...outcome.problems],
    };
  },
};

async function highestRate(bench: Bench, contender: Contender, problems: string[]): Promise<number> {
  let low = LOWEST;
  let high = HIGHEST;
  let reached = 0;
  for (let step = 0; step < (bench.quick ? 1 : STEPS + 1); step++) {
    // First at full speed: on many machines the storm cannot outrun the receiver.
    const rate = step === 0 ? undefined : (low + high) / 2;
    const count = bench.quick ? 20_000 : Math.round((rate ?? 1_300_000) * SECONDS);
    const storm = { kind: "comm", count, cpu: 0, ...(rate !== undefined && { rate }) } as const;
    const run = await measure(bench.programs, contender, storm);
    problems.push(...run.problems);
    const real = run.storm.count / (run.storm.elapsedNs / 1e9);
    const lost = run.report.lost ?? 0;
    if (lost === 0) {
      reached = Math.max(reached, real);
      low = Math.max(low, real);
    } else {
      high = Math.min(high, real);
    }
    // No loss at full speed: no higher rate exists. Or the interval is within the noise.
    if ((step === 0 && lost === 0) || high - low < 0.02 * high) break;
  }
  return reached;
}
