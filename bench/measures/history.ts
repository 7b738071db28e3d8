import { ourContender } from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Line, Measure, Section } from "../section.ts";

/** Processes a second. */
const RATE = 1000;

/** What `cnctl record` costs beyond watching the same. */
export const history: Measure = {
  name: "history",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "exec", count: quick ? 100 : 8 * RATE, rate: RATE } as const;
    const { samples, problems } = await interleave(
      quick ? 1 : Math.min(3, rounds),
      runtimes.flatMap((runtime) =>
        ["no", "yes"].map((record) => ({
          name: `${runtime.name} ${record}`,
          run: () => measure(programs, ourContender(runtime, "history", { record }), storm),
        }))
      ),
    );
    const lines = runtimes.flatMap(({ name }): Line[] => {
      const watched = samples.get(`${name} no`)?.map(percentOfCore);
      const recorded = samples.get(`${name} yes`)?.map(percentOfCore);
      if (watched === undefined || recorded === undefined) return [];
      const beyond = recorded.map((percent, round) => percent - watched[round]!);
      return [
        { subject: `${name}, watching`, value: summarize(watched), unit: "% of a core" },
        {
          subject: `${name}, more when recording`,
          value: summarize(beyond),
          unit: "% of a core",
          ...name === "bun" && { goal: { most: 3 } },
        },
      ];
    });
    return {
      title: `CPU of recording ${RATE.toLocaleString("en")} processes a second`,
      text:
        `vfork and exec of /bin/true, ${RATE.toLocaleString("en")} times a second for ${
          storm.count / RATE
        } s: user and system CPU of the whole process from the subscription to the ` +
        "end, for a watch with all that a recorder asks for, and for a recorder with its database in /tmp.",
      lines,
      problems: [...problems, ...[...samples.values()].flat().flatMap((run) => run.problems)],
    };
  },
};

function percentOfCore({ report: { cpuNs, elapsedNs } }: Run): number {
  return 100 * (cpuNs!.user + cpuNs!.system) / elapsedNs!;
}
