import { type Contender, ourContender } from "../contenders.ts";
import { summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Runtime } from "../runtimes.ts";
import type { Measure, Section } from "../section.ts";
import { outputOf } from "./codec.ts";

/** The heap that a process in the table takes. */
export const tableHeap: Measure = {
  name: "table-heap",
  async run({ runtimes, rounds, quick }): Promise<Section> {
    const count = quick ? 1000 : 50_000;
    const { samples, problems } = await interleave(
      quick ? 1 : Math.min(3, rounds),
      runtimes.map((runtime) => ({
        name: runtime.name,
        run: () => outputOf(withCollections(runtime, count)),
      })),
    );
    return {
      title: "Heap of the process table",
      text:
        `The table is filled from a /proc of ${
          count.toLocaleString("en")
        } sleepers that is made of objects. Used heap after a ` +
        "forced collection, less what was used before, for each process: with command line, file, user and control group.",
      lines: [...samples].map(([name, reports]) => ({
        subject: `${name}, each process`,
        value: summarize(reports.map(({ ns }) => ns?.bytes ?? NaN)),
        unit: "bytes",
        goal: { most: 1024 },
      })),
      problems,
    };
  },
};

/** The option by which a program may collect garbage; Bun needs none. */
function withCollections(runtime: Runtime, count: number): Contender {
  const [program, ...rest] = runtime.command;
  const option = { bun: [], deno: ["--v8-flags=--expose-gc"], node: ["--expose-gc"] }[runtime.name];
  // `deno run` comes before its options.
  const command = runtime.name === "deno"
    ? [program!, rest[0]!, ...option, ...rest.slice(1)]
    : [program!, ...option, ...rest];
  return ourContender({ ...runtime, command }, "table_heap", { count });
}
