import { cnctlContender, type Contender, extraceContender, forkstatContender } from "../contenders.ts";
import { measure, type Run, wholeCpuPerEvent } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Measure, Section } from "../section.ts";

/** `cnctl watch > file` with command lines, against the tools that people use. */
export const watch: Measure = {
  name: "watch",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "exec", count: quick ? 100 : 12_000 } as const;
    const peers = [forkstatContender(), extraceContender()].filter((peer) => peer !== undefined);
    const ours = runtimes.flatMap((
      runtime,
    ) => [cnctlContender(runtime), cnctlContender(runtime, ["--json"])]);
    const { samples, problems } = await interleave(
      Math.min(3, rounds),
      [...peers, ...ours].map((contender: Contender) => ({
        name: contender.name,
        run: () => measure(programs, contender, storm),
      })),
    );
    const forkstat = samples.get("forkstat")?.map(wholeCpuPerEvent);
    const lines = [...samples].map(([name, runs]) => {
      const values = runs.map(wholeCpuPerEvent);
      return {
        subject: name,
        value: summarize(values),
        unit: "ns a line",
        note: `${linesPerChild(runs)} lines for each child, ${
          commandsFound(runs)
        } of the programs shown with arguments`,
        ...(forkstat !== undefined && name !== "forkstat" &&
          { against: "forkstat", ratio: ratios(values, forkstat) }),
        ...(name.includes("cnctl") && forkstat !== undefined && { goal: { most: 0.7 } }),
      };
    });
    const note = peers.length < 2 ? " forkstat or extrace is not installed and was left out." : "";
    return {
      title: "CPU per line of `cnctl watch`, exec storm",
      text:
        `A storm of ${
          storm.count.toLocaleString("en")
        } times vfork and exec of /bin/true: CPU of the whole process, ` +
        `including its start, divided by the lines written to a file.${note}`,
      lines,
      problems: [...problems, ...[...samples.values()].flat().flatMap((run) => run.problems)],
    };
  },
};

/** The storm's programs get a number as an argument: a line without it was read too late. */
function commandsFound(runs: readonly Run[]): string {
  const share = summarize(runs.map((run) => (run.report.commandLines ?? NaN) / run.storm.count)).median;
  return `${(100 * share).toFixed(0)} %`;
}

function linesPerChild(runs: readonly Run[]): string {
  return summarize(runs.map((run) => run.report.events / run.storm.count)).median.toFixed(2);
}
