import { bundleCnctl } from "../bundle.ts";
import {
  asNobody,
  cnctlContender,
  type Contender,
  extraceContender,
  forkstatContender,
} from "../contenders.ts";
import { measure, type Run } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Runtime } from "../runtimes.ts";
import type { Goal, Measure, Section } from "../section.ts";

/** `cnctl watch > file` with command lines, against the tools that people use. */
export const watch: Measure = {
  name: "watch",
  async run({ programs, runtimes, rounds, quick }): Promise<Section> {
    const storm = { kind: "exec", count: quick ? 100 : 40_000 } as const;
    const peers = [forkstatContender(), extraceContender()].filter((peer) => peer !== undefined);
    const path = bundleCnctl();
    const ours = new Map(runtimes.flatMap((runtime) => contendersOf(runtime, path)));
    const { samples, problems } = await interleave(
      Math.min(3, rounds),
      [...peers, ...ours.keys()].map((contender) => ({
        name: contender.name,
        run: () => measure(programs, contender, storm),
      })),
    );
    const goals = new Map([...ours].map(([{ name }, goal]) => [name, goal]));
    const forkstat = samples.get("forkstat")?.map(cpuPerChild);
    const lines = [...samples].map(([name, runs]) => {
      const values = runs.map(cpuPerChild);
      const goal = goals.get(name);
      return {
        subject: name,
        value: summarize(values),
        unit: "µs a child",
        note: `${linesPerChild(runs)} lines for each child, ${
          commandsFound(runs)
        } of the programs shown with arguments`,
        ...(forkstat !== undefined && name !== "forkstat" &&
          { against: "forkstat", ratio: ratios(values, forkstat) }),
        ...(goal !== undefined && forkstat !== undefined && { goal }),
      };
    });
    const note = peers.length < 2 ? " forkstat or extrace is not installed and was left out." : "";
    return {
      title: "CPU of `cnctl watch`, exec storm",
      text:
        `A storm of ${
          storm.count.toLocaleString("en")
        } times vfork and exec of /bin/true, with the output in a file: CPU of the whole process, ` +
        `including its start, divided by the children.${note}`,
      lines,
      problems: [...problems, ...[...samples.values()].flat().flatMap((run) => run.problems)],
    };
  },
};

function contendersOf(runtime: Runtime, path: string): [Contender, Goal][] {
  const text = cnctlContender(runtime, path);
  return [
    [text, { most: runtime.name === "node" ? 0.7 : 0.6 }],
    [cnctlContender(runtime, path, ["--json"]), { most: 0.9 }],
    [cnctlContender(runtime, path, ["--exec-records", "off"]), { most: 1.5 }],
    [asNobody(text), { most: 1.5 }],
  ];
}

/** CPU of the whole process in microseconds. Per line would favour a tool that prints more lines. */
function cpuPerChild({ usage, storm }: Run): number {
  return (usage.userNs + usage.systemNs) / 1000 / storm.count;
}

/** The storm's programs get a number as an argument: a line without it was read too late. */
function commandsFound(runs: readonly Run[]): string {
  const share = summarize(runs.map((run) => (run.report.commandLines ?? NaN) / run.storm.count)).median;
  return `${(100 * share).toFixed(0)} %`;
}

function linesPerChild(runs: readonly Run[]): string {
  return summarize(runs.map((run) => run.report.events / run.storm.count)).median.toFixed(2);
}
