import { cContender, type Contender, ourContender } from "../contenders.ts";
import { cpuPerEvent, measure, type Run, warmCpuPerEvent, wholeCpuPerEvent } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { RuntimeName } from "../runtimes.ts";
import type { Bench, Goal, Line, Measure } from "../section.ts";
import type { Storm } from "../storms.ts";

type Goals = { readonly [name in RuntimeName]: Goal };

/** CPU for each event when the receiver has all it can do: one COMM event for each cheap system call. */
export const cpuComm: Measure = {
  name: "cpu-comm",
  run: (bench) =>
    cpu(bench, {
      title: "CPU per event, COMM storm",
      storm: { kind: "comm", count: bench.quick ? 20_000 : 3_000_000 },
      reference: "best",
      goals: { bun: { most: 1.15 }, deno: { most: 1.1 }, node: { most: 1.2 } },
    }),
};

/** CPU for each event when events come one by one. */
export const cpuVfork: Measure = {
  name: "cpu-vfork",
  run: (bench) =>
    cpu(bench, {
      title: "CPU per event, vfork storm",
      storm: { kind: "vfork", count: bench.quick ? 500 : 150_000 },
      reference: "C batch",
      goals: { bun: { most: 1.5 }, deno: { most: 1.6 }, node: { most: 1.7 } },
    }),
};

/** The pause of the library under load: its default `latencyMs`. */
const PAUSE_US = 5000;

interface Plan {
  readonly title: string;
  readonly storm: Storm;
  /** The C loop that is compared with: one by its name, or the one that is best in this run. */
  readonly reference: "best" | "C batch";
  readonly goals: Goals;
}

async function cpu(bench: Bench, plan: Plan): ReturnType<Measure["run"]> {
  const { programs, runtimes, rounds } = bench;
  const loops = [
    cContender(programs, "recv"),
    cContender(programs, "wake"),
    cContender(programs, "batch", { "pause-us": PAUSE_US }),
  ];
  const ours = runtimes.flatMap((runtime) => [
    ourContender(runtime, "batches"),
    ourContender(runtime, "for_await"),
  ]);
  const run = (contender: Contender) => ({
    name: contender.name,
    run: () => measure(programs, contender, plan.storm),
  });
  const { samples, problems } = await interleave(rounds, [...loops, ...ours].map(run));

  const runs = [...samples.values()].flat();
  const steady = new Map([...samples].map(([name, list]) => [name, list.map(cpuPerEvent)]));
  const best = plan.reference === "best" ? cheapest(steady, loops.map(({ name }) => name)) : plan.reference;
  const lines: Line[] = [];
  for (const [name, values] of steady) {
    const note = notes(samples.get(name)!);
    if (name.startsWith("C ") || !name.endsWith(" for_await")) {
      const goal = plan.goals[name.split(" ")[0] as RuntimeName];
      lines.push(line(name, values, best, steady, note, name.endsWith(" batches") ? goal : undefined));
    }
    if (name.endsWith(" for_await")) {
      const batches = name.replace("for_await", "batches");
      lines.push(line(name, values, batches, steady, note, { most: 1.2 }));
    }
    if (name.endsWith(" batches")) {
      // The C tools of today: woken for every event.
      lines.push(
        line(
          name,
          values,
          "C wake",
          steady,
          undefined,
          plan.storm.kind === "vfork" ? { most: 0.5 } : undefined,
        ),
      );
    }
  }
  return {
    title: plan.title,
    text:
      `One ${plan.storm.kind} storm of ${
        plan.storm.count.toLocaleString("en")
      } iterations for each program, at ` +
      "full speed: user and system CPU of the whole process from the subscription to the end, divided by the events " +
      "received. Of the C loops, `recv` makes one system call for each event, `wake` polls and then empties the queue " +
      `with recvmmsg, and \`batch\` also pauses for ${
        PAUSE_US / 1000
      } ms after each wake-up, as this project does.`,
    lines,
    problems: [...problems, ...runs.flatMap((run) => run.problems)],
  };
}

function line(
  subject: string,
  values: readonly number[],
  against: string,
  all: ReadonlyMap<string, readonly number[]>,
  note: string | undefined,
  goal: Goal | undefined,
): Line {
  const reference = all.get(against);
  return {
    subject,
    value: summarize(values),
    unit: "ns",
    ...(reference !== undefined && subject !== against && { against, ratio: ratios(values, reference) }),
    ...(goal !== undefined && { goal }),
    ...(note !== undefined && { note }),
  };
}

function cheapest(values: ReadonlyMap<string, readonly number[]>, names: readonly string[]): string {
  const there = names.filter((name) => (values.get(name)?.length ?? 0) > 0);
  return there.reduce((a, b) => summarize(values.get(a)!).median <= summarize(values.get(b)!).median ? a : b);
}

function notes(runs: readonly Run[]): string {
  const lost = runs.reduce((sum, run) => sum + (run.report.lost ?? 0), 0);
  const whole = summarize(runs.map(wholeCpuPerEvent)).median;
  const warm = runs.map(warmCpuPerEvent).filter((value) => value !== undefined);
  const second = warm.length === 0 ? "" : `, ${summarize(warm).median.toFixed(0)} ns in the second half`;
  return `${whole.toFixed(0)} ns including its start${second}${lost > 0 ? `; ${lost} reported lost` : ""}`;
}
