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
    const recorded = samples.get("yes");
    const lines: Line[] = without === undefined || recorded === undefined ? [] : [
      {
        subject: "the recording of one exec",
        value: summarize(recorded.map(({ report }) => (report.ns?.["exec"] ?? NaN) / 1000)),
        unit: "µs",
        goal: { most: 3 },
      },
      { subject: "one exec, not recorded", value: summarize(without), unit: "µs" },
      {
        subject: "more when recorded",
        value: summarize(recorded.map((run, round) => cpuPerExec(run) - without[round]!)),
        unit: "µs",
        note: "less than other load changes an exec",
      },
    ];
    return {
      title: "What exec records cost those who execute programs",
      text:
        `${
          storm.count.toLocaleString("en")
        } times vfork, exec of /bin/true and wait on one processor, without a listener to events. The recording is ` +
        "the time of the program in the kernel, by the kernel's own statistics (BPF_ENABLE_STATS), of all execs of the " +
        "machine in that time. The rest is CPU of maker and children for each exec, with the recorder attached or not.",
      lines,
      problems,
    };
  },
};

/** CPU rather than elapsed time, which other load changes more than the recorder. */
function cpuPerExec({ storm }: Run): number {
  return (storm.cpuNs + storm.childCpuNs) / 1000 / storm.count;
}
