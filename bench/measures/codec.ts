import { startChild, within } from "../child.ts";
import { type Contender, ourContender, type Report } from "../contenders.ts";
import { summarize } from "../median.ts";
import { interleave, type Outcome } from "../rounds.ts";
import type { Bench, Line, Measure, Section } from "../section.ts";

/** Nanoseconds per message, without the kernel. */
export const codec: Measure = {
  name: "codec",
  async run(bench): Promise<Section> {
    const outcome = await runAlone(bench, "codec", { repeats: bench.quick ? 2 : 2000 });
    return {
      title: "Decoding and encoding",
      text: "A loop without system calls, 256 messages at a time, best of ten repetitions.",
      lines: linesOf(outcome, (report) => report.ns ?? {}, "ns"),
      problems: outcome.problems,
    };
  },
};

/** Requests and replies on the bus. */
export const requests: Measure = {
  name: "requests",
  async run(bench): Promise<Section> {
    const outcome = await runAlone(bench, "requests", { count: bench.quick ? 50 : 20_000 });
    return {
      title: "Requests per second",
      text:
        "A client and a service in one program, 64 bytes each way through the kernel: two sends and two wake-ups for " +
        "each request.",
      lines: linesOf(outcome, (report) => report.perSecond ?? {}, "a second"),
      problems: outcome.problems,
    };
  },
};

function runAlone(
  { runtimes, rounds, quick }: Bench,
  program: string,
  options: { readonly [name: string]: number },
): Promise<Outcome<Report>> {
  const contenders = runtimes.map((runtime) => ourContender(runtime, program, options));
  return interleave(
    quick ? 1 : Math.min(3, rounds),
    contenders.map((contender) => ({ name: contender.name, run: () => outputOf(contender) })),
  );
}

/** What a contender prints that ends by itself. */
export async function outputOf(contender: Contender): Promise<Report> {
  const child = startChild(contender.command({ of: 0, half: 0 }));
  try {
    return contender.parse(await within(120, contender.name, child.output));
  } catch (error) {
    throw new Error(`${contender.name}: ${(error as Error).message}`, { cause: error });
  } finally {
    child.kill("SIGKILL");
  }
}

function linesOf(
  { samples }: Outcome<Report>,
  numbers: (report: Report) => { readonly [name: string]: number },
  unit: string,
): Line[] {
  return [...samples].flatMap(([name, reports]) =>
    Object.keys(numbers(reports[0]!)).map((what) => ({
      subject: `${name.split(" ")[0]}, ${what}`,
      value: summarize(reports.map((report) => numbers(report)[what] ?? NaN)),
      unit,
    }))
  );
}
