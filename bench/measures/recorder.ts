import { ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Line, Measure, Section } from "../section.ts";

/** What the exec recorder costs those who execute programs. */
export const recorder: Measure = {
  name: "recorder",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "exec", count: quick ? 50 : 4000, cpu: 0 } as const;
    const runtime = runtimes[0]!; // the program in the kernel is the same on all
    const { samples, problems } = await interleave(
      quick ? 1 : rounds * 3,
      ["no", "yes"].map((attach) => ({
        name: attach,
        run: () => measure(programs, ourContender(runtime, "recorder", { attach }), storm),
      })),
    );
    const without = samples.get("no")?.map(cpuPerExec);
    const recorded = samples.get("yes")?.map(cpuPerExec);
    const lines: Line[] = without === undefined || recorded === undefined ? [] : [
      { subject: "one exec, not recorded", value: summarize(without), unit: "µs" },
      {
        subject: "more when recorded",
        value: summarize(recorded.map((us, round) => us - without[round]!)),
        unit: "µs",
        goal: { most: 3 },
      },
    ];
    return {
      title: "What exec records cost those who execute programs",
      text:
        `${
          storm.count.toLocaleString("en")
        } times vfork, exec of /bin/true and wait on one processor: CPU of maker and children for ` +
        "each, without a listener to events, and with the recorder attached or not.",
      lines,
      problems,
    };
  },
};

/** CPU rather than elapsed time, which other load changes more than the recorder. */
function cpuPerExec({ storm }: Run): number {
  return (storm.cpuNs + storm.childCpuNs) / 1000 / storm.count;
}
