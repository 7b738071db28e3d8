import { unlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../tests/support/programs.ts";
import { cacheFolder } from "../build.ts";
import { bundleCnctl } from "../bundle.ts";
import { startChild, within } from "../child.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Line, Measure, Section } from "../section.ts";

/** What one storm of programs took. */
interface Storm {
  readonly seconds: number;
  /** CPU of the process that started it, while it ran. */
  readonly cpuUsEach: number;
}

const UNTRACED = "untraced";

/** What `cnctl trace` costs the traced programs and itself. */
export const trace: Measure = {
  name: "trace",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const count = quick ? 100 : 3000;
    const cnctl = bundleCnctl();
    const recording = join(cacheFolder(), `trace-${process.pid}`);
    const traced = ["trace", "--report", "none", "-o", recording, "--"];
    const subjects = [
      { name: UNTRACED, run: () => runStorm([], count) },
      ...runtimes.map(({ name, command }) => ({
        name,
        run: () => runStorm([...bound(0), ...command, cnctl, ...traced], count),
      })),
    ];
    const { samples, problems } = await interleave(rounds, subjects);
    unlinkSync(recording);
    const seconds = (name: string): number[] => (samples.get(name) ?? []).map(({ seconds }) => seconds);
    const lines = subjects.flatMap(({ name }): Line[] => {
      const storms = samples.get(name);
      if (storms === undefined) return [];
      const wall = { subject: `${name}: the storm`, value: summarize(seconds(name)), unit: "s" };
      if (name === UNTRACED) return [wall];
      return [
        { ...wall, against: UNTRACED, ratio: ratios(seconds(name), seconds(UNTRACED)), goal: { most: 1.1 } },
        {
          subject: `${name}: CPU of cnctl a process`,
          value: summarize(storms.map(({ cpuUsEach }) => cpuUsEach)),
          unit: "µs",
          ...(name === "bun" && { goal: { most: 60 } }),
        },
      ];
    });
    return {
      title: "cnctl trace: cost for the command and its own",
      text:
        `${
          count.toLocaleString("en")
        } times /bin/true from a shell on one processor, cnctl with a recording on another. ` +
        "CPU is that of cnctl while the storm runs, read from /proc: without its start, but with the compiler's warm-up.",
      lines,
      problems,
    };
  },
};

/** Binds a command to a processor, where there are two. */
function bound(processor: number): string[] {
  return availableParallelism() < 2 || findProgram("taskset") === undefined
    ? []
    : ["taskset", "-c", String(processor)];
}

async function runStorm(before: readonly string[], count: number): Promise<Storm> {
  // Ticks of user and system time of the parent: cnctl, or this benchmark.
  const ticks = "cut -d ' ' -f 14,15 /proc/$PPID/stat";
  const storm = `i=0; while [ $i -lt ${count} ]; do /bin/true; i=$((i+1)); done`;
  const script = `${ticks}; date +%s%N; ${storm}; date +%s%N; sleep 0.3; ${ticks}`;
  const child = startChild([...before, ...bound(1), "/bin/sh", "-c", script]);
  try {
    const output = await within(120, "the storm", child.output);
    const [first, begin, end, last] = output.trim().split("\n");
    const sum = (line: string): number => line.split(" ").reduce((all, number) => all + Number(number), 0);
    return {
      seconds: Number(BigInt(end!) - BigInt(begin!)) / 1e9,
      cpuUsEach: (sum(last!) - sum(first!)) * 1e4 / count,
    };
  } finally {
    child.kill("SIGKILL");
  }
}
