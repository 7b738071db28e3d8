import { cContender, type Contender, ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Bench, Line, Measure, Section } from "../section.ts";
import type { Storm } from "../storms.ts";

const BOUNDS_MS = [0, 2, 10];

/** From the kernel's timestamp to the user's code, on an idle machine. */
export const latencyQuiet: Measure = {
  name: "latency-quiet",
  run: (bench) =>
    latency(
      bench,
      "Latency on an idle machine",
      { kind: "vfork", count: bench.quick ? 20 : 400, rate: 100 },
      undefined,
    ),
};

/** The same in a storm, at several latency bounds. */
export const latencyBusy: Measure = {
  name: "latency-busy",
  run: (bench) =>
    latency(
      bench,
      "Latency, vfork storm",
      { kind: "vfork", count: bench.quick ? 500 : 40_000 },
      BOUNDS_MS,
    ),
};

async function latency(
  bench: Bench,
  title: string,
  storm: Storm,
  bounds: readonly number[] | undefined,
): Promise<Section> {
  const { programs, runtimes, rounds } = bench;
  const c = cContender(programs, "latency");
  const ours = runtimes.flatMap((runtime) =>
    bounds === undefined
      ? [ourContender(runtime, "latency")]
      : bounds.map((bound) =>
        named(ourContender(runtime, "latency", { latency: bound }), `bound ${bound} ms`)
      )
  );
  const { samples, problems } = await interleave(
    bounds === undefined ? rounds : Math.min(3, rounds),
    [c, ...ours].map((contender) => ({
      name: contender.name,
      run: () => measure(programs, contender, storm),
    })),
  );
  const p50 = (run: Run) => (run.report.latencyNs?.p50 ?? NaN) / 1000;
  const lines: Line[] = [];
  for (const [name, runs] of samples) {
    const values = runs.map(p50);
    const reference = samples.get(c.name);
    lines.push({
      subject: `${name}, p50`,
      value: summarize(values),
      unit: "µs",
      note: `p99 ${tail(runs, "p99")} µs, max ${tail(runs, "max")} µs`,
      ...(reference !== undefined && name !== c.name &&
        { against: c.name, ratio: ratios(values, reference.map(p50)) }),
      ...(bounds === undefined && name !== c.name && { goal: { most: name.startsWith("bun") ? 1.6 : 3 } }),
    });
    if (bounds === undefined && name !== c.name) {
      lines.push({ subject: `${name}, p50`, value: summarize(values), unit: "µs", goal: { most: 150 } });
    }
  }
  return {
    title,
    text: "From the kernel's timestamp to the user's code, for the storm's own children" +
      (storm.rate === undefined ? ", at full speed." : `, at ${storm.rate} of them a second.`),
    lines,
    problems: [...problems, ...[...samples.values()].flat().flatMap((run) => run.problems)],
  };
}

function tail(runs: readonly Run[], which: "p99" | "max"): string {
  return (summarize(runs.map((run) => run.report.latencyNs?.[which] ?? NaN)).median / 1000).toFixed(0);
}

function named(contender: Contender, suffix: string): Contender {
  return { ...contender, name: `${contender.name} ${suffix}` };
}
