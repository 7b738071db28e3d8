import { bundle } from "../bundle.ts";
import { startChild, within } from "../child.ts";
import { type Contender, ourContender } from "../contenders.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Runtime } from "../runtimes.ts";
import type { Measure, Section } from "../section.ts";

/** From the start of a program to subscribed, against an empty program. */
export const start: Measure = {
  name: "start",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const bundles = { empty: bundle("empty"), start: bundle("start") };
    const contenders = runtimes.flatMap((runtime) => [
      bundled(runtime, "empty", bundles.empty),
      bundled(runtime, "start", bundles.start),
      ourContender(runtime, "start"),
    ]);
    const { samples, problems } = await interleave(
      quick ? 1 : rounds * 4,
      contenders.map((contender) => ({ name: contender.name, run: () => untilReady(contender) })),
    );
    const lines = runtimes.flatMap(({ name }) => {
      const empty = samples.get(`${name} empty, bundled`);
      const subscribed = samples.get(`${name} start, bundled`);
      const fromSource = samples.get(`${name} start`);
      if (empty === undefined || subscribed === undefined || fromSource === undefined) return [];
      const beyond = subscribed.map((ms, round) => ms - empty[round]!);
      return [
        { subject: `${name}, an empty program`, value: summarize(empty), unit: "ms" },
        { subject: `${name}, subscribed`, value: summarize(subscribed), unit: "ms" },
        {
          subject: `${name}, more than the empty program`,
          value: summarize(beyond),
          unit: "ms",
          goal: { most: 5 },
        },
        { subject: `${name}, subscribed, TypeScript sources`, value: summarize(fromSource), unit: "ms" },
      ];
    });
    return {
      title: "Time to subscribe",
      text:
        "From the start of the process to the line `ready`: for an empty program, and for one with a subscription that " +
        "the kernel has acknowledged. Both are bundled into one file; the last line of each runtime loads the TypeScript " +
        "sources instead.",
      lines,
      problems,
    };
  },
};

function bundled(runtime: Runtime, program: string, path: string): Contender {
  const contender = ourContender(runtime, program);
  return { ...contender, name: `${contender.name}, bundled`, command: () => [...runtime.command, path] };
}

async function untilReady(contender: Contender): Promise<number> {
  const begin = performance.now();
  const child = startChild(contender.command({ of: 0, half: 0 }));
  try {
    await within(20, "to become ready", child.ready);
    const elapsed = performance.now() - begin;
    await within(20, "the end", child.exited);
    return elapsed;
  } catch (error) {
    throw new Error(`${contender.name}: ${(error as Error).message}`, { cause: error });
  } finally {
    child.kill("SIGKILL");
  }
}
