import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { within } from "../child.ts";
import { ourContender } from "../contenders.ts";
import { cpuPerEvent, measure, warmCpuPerEvent } from "../measure.ts";
import { ratios, summarize } from "../median.ts";
import { interleave } from "../rounds.ts";
import type { Bench, Line, Measure, Section } from "../section.ts";

/** The process table with many live processes: memory per process, and whether an event costs more. */
export const table: Measure = {
  name: "table",
  async run(bench): Promise<Section> {
    const sizes = bench.quick ? [0, 100] : [0, 10_000, roomFor(50_000) ? 50_000 : 20_000];
    const problems: string[] = [];
    const lines: Line[] = [];
    for (const runtime of bench.runtimes) {
      // Each round has every size in turn, each with its own sleeping processes.
      const { samples, problems: failures } = await interleave(
        bench.quick ? 1 : Math.min(3, bench.rounds),
        sizes.map((size) => ({ name: String(size), run: () => withCrowd(bench, runtime, size) })),
      );
      problems.push(...failures);
      const none = samples.get("0");
      for (const size of sizes) {
        const runs = samples.get(String(size));
        if (runs === undefined || none === undefined) continue;
        problems.push(...runs.flatMap((run) => run.problems));
        // The first half includes the cost of filling the table.
        const cpu = runs.map((run) => warmCpuPerEvent(run) ?? cpuPerEvent(run));
        lines.push({
          subject: `${runtime.name}, ${size.toLocaleString("en")} sleeping processes, CPU per event`,
          value: summarize(cpu),
          unit: "ns",
          ...(size > 0 && {
            against: "none",
            ratio: ratios(cpu, none.map((run) => warmCpuPerEvent(run) ?? cpuPerEvent(run))),
            goal: { most: 1.25 },
          }),
        });
        if (size === 0) continue;
        for (const [when, field] of [["at first", "rssBytes"], ["at the end", "rssEndBytes"]] as const) {
          const bytes = runs.map((run, round) =>
            ((run.report[field] ?? NaN) - (none[round]!.report[field] ?? NaN)) / size
          );
          lines.push({
            subject: `${runtime.name}, ${
              size.toLocaleString("en")
            } sleeping processes, memory per process ${when}`,
            value: summarize(bytes),
            unit: "bytes",
            ...(when === "at the end" && { goal: { most: 1024 } }),
          });
        }
      }
    }
    return {
      title: "Process table",
      text:
        "Sleeping processes are in the table when a vfork storm begins. Memory is resident memory per process, minus that " +
        "of a watcher without sleeping processes, right after the table was filled and at the end of the storm, without a " +
        "forced garbage collection. CPU is that of the storm's second half per event (`processInfo: true`).",
      lines,
      problems,
    };
  },
};

/** Whether pid_max allows that many processes in addition to the storm's. */
function roomFor(count: number): boolean {
  return Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) > count + 10_000;
}

async function withCrowd(bench: Bench, runtime: Bench["runtimes"][number], size: number) {
  const crowd = spawn(bench.programs.live, [String(size), "--seconds", "120"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    await within(60, "the crowd", firstLine(crowd));
    const storm = { kind: "vfork", count: bench.quick ? 300 : 40_000 } as const;
    return await measure(bench.programs, ourContender(runtime, "processes"), storm);
  } finally {
    const closed = once(crowd, "close");
    crowd.stdin!.end();
    await within(60, "the end of the crowd", closed);
  }
}

async function firstLine(child: ChildProcess): Promise<void> {
  await once(child.stdout!, "data");
  child.stdout!.resume();
}
