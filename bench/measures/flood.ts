import { cContender, ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import { eventsOf } from "../storms.ts";
import type { Measure, Section } from "../section.ts";

/** More than a receiver can take, for ten seconds: what of it is lost, and whether that is known. */
export const flood: Measure = {
  name: "flood",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "comm", count: quick ? 20_000 : 13_000_000, rate: 1_300_000 } as const;
    const buffer = { buffer: 64 << 20 };
    const contenders = [
      cContender(programs, "batch", buffer),
      ...runtimes.map((runtime) => ourContender(runtime, "batches", buffer)),
    ];
    const { samples, problems } = await interleave(
      Math.min(3, rounds),
      contenders.map((contender) => ({
        name: contender.name,
        run: () => measure(programs, contender, storm),
      })),
    );
    const all = [...samples.values()].flat();
    const reached = summarize(all.map(({ storm }) => storm.count / (storm.elapsedNs / 1e9)));
    return {
      title: "Events lost in a flood",
      text:
        `A COMM storm of ${storm.count.toLocaleString("en")} events at up to ${
          storm.rate.toLocaleString("en")
        } a second ` +
        `(reached: ${
          Math.round(reached.median).toLocaleString("en")
        }), with a receive buffer of 64 MiB: the share of events lost. In each ` +
        "run, the sum of delivered and lost events is compared with the number sent.",
      lines: [...samples].map(([name, runs]) => ({
        subject: name,
        value: summarize(runs.map(({ report, storm }) => 100 * (report.lost ?? 0) / storm.count)),
        unit: "%",
        note: runs.map(balance).join("; "),
      })),
      problems: [...problems, ...all.flatMap((run) => run.problems)],
    };
  },
};

/** Lost events may include those of other programs, so the sum can slightly exceed the number sent. */
function balance({ report, storm }: Run): string {
  const own = report.own?.comm ?? 0;
  const lost = report.lost ?? 0;
  return `${own} + ${lost} lost = ${own + lost} of ${eventsOf(storm).comm}`;
}
