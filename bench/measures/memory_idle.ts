import { bundle } from "../bundle.ts";
import { sleep, startChild, within } from "../child.ts";
import { ourContender } from "../contenders.ts";
import { summarize } from "../median.ts";
import { residentBytes } from "../proc.ts";
import { interleave } from "../rounds.ts";
import type { Runtime, RuntimeName } from "../runtimes.ts";
import type { Measure, Section } from "../section.ts";

const MB = 1e6;
const MOST_MB: { readonly [name in RuntimeName]: number } = { bun: 12, deno: 20, node: 20 };

/** The resident memory of an open watch, against an empty program. */
export const memoryIdle: Measure = {
  name: "memory-idle",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const seconds = quick ? 1 : 60;
    const bundles = { empty: bundle("empty"), idle: bundle("idle") };
    const { samples, problems } = await interleave(
      quick ? 1 : Math.min(3, rounds),
      runtimes.map((runtime) => ({
        name: runtime.name,
        // Both at once: they share the minute, and what the machine does meanwhile.
        run: async () => {
          const [empty, watch] = await Promise.all([
            residentAfter(seconds, runtime, "empty", [bundles.empty, "--stay"]),
            residentAfter(seconds, runtime, "idle", [bundles.idle, "--of", "0", "--events", "coredump"]),
          ]);
          return { empty: empty!, watch: watch! };
        },
      })),
    );
    const lines = runtimes.flatMap(({ name }) => {
      const runs = samples.get(name);
      if (runs === undefined) return [];
      return [
        {
          subject: `${name}, an empty program`,
          value: summarize(runs.map(({ empty }) => empty)),
          unit: "MB",
        },
        {
          subject: `${name}, more with an open watch`,
          value: summarize(runs.map(({ empty, watch }) => watch - empty)),
          unit: "MB",
          goal: { most: MOST_MB[name] },
        },
      ];
    });
    return {
      title: "Memory of an open watch",
      text:
        `Resident memory after ${seconds} s of a program with a watch of core dumps, of which there are none, and of ` +
        "an empty program beside it. Both are bundled into one file.",
      lines,
      problems,
    };
  },
};

async function residentAfter(
  seconds: number,
  runtime: Runtime,
  program: string,
  options: readonly string[],
): Promise<number> {
  const { name } = ourContender(runtime, program);
  const child = startChild([...runtime.command, ...options]);
  try {
    await within(20, `${name}: to become ready`, child.ready);
    await sleep(seconds * 1000);
    return residentBytes(child.pid) / MB;
  } finally {
    child.kill("SIGKILL");
    await within(20, `${name}: the end`, child.exited);
  }
}
