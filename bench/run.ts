/**
 * The benchmark: `bun bench/run.ts [--quick] [--only NAME [--amend]] [--rounds N] [--runtime NAME] [--report]`.
 *
 * A whole run takes about half an hour. It replaces results.json and writes RESULTS.md and DETAILS.md. `--only` prints
 * one measurement and keeps nothing, or with `--amend` replaces that part of the kept run. `--quick` is for CI: it runs
 * everything once with small storms, and fails if something does not run or counts wrongly. Its times are meaningless.
 */
import { parseArgs } from "node:util";
import { buildPrograms } from "./build.ts";
import { commitOf, describeMachine } from "./machine.ts";
import { measures } from "./measures/all.ts";
import { renderSection, type Results } from "./report.ts";
import { findProgram } from "../tests/support/programs.ts";
import { findRuntimes } from "./runtimes.ts";
import type { Bench, Section } from "./section.ts";
import { amend, store, writeReport } from "./store.ts";

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    runtime: { type: "string", multiple: true },
    rounds: { type: "string" },
    /** With `--only`: replace these measurements in the kept run. */
    amend: { type: "boolean", default: false },
    /** Only write RESULTS.md and DETAILS.md from the kept run. */
    report: { type: "boolean", default: false },
  },
});

if (options.report) {
  writeReport();
} else {
  process.exitCode = await run();
  process.exit(); // do not wait for anything still running
}

async function run(): Promise<number> {
  const runtimes = findRuntimes().filter(({ name }) => options.runtime?.includes(name) ?? true);
  const chosen = measures.filter(({ name }) => options.only?.includes(name) ?? true);
  if (chosen.length === 0) {
    console.error(
      `There is no such measurement. Choose from: ${measures.map(({ name }) => name).join(", ")}`,
    );
    return 2;
  }
  for (const peer of ["forkstat", "extrace"]) {
    if (findProgram(peer) === undefined) {
      console.error(`Without ${peer}: it is not installed (Debian: apt-get install ${peer})`);
    }
  }
  const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
  const bench: Bench = { programs: buildPrograms(), runtimes, rounds, quick: options.quick };

  const sections: Section[] = [];
  for (const measure of chosen) {
    const begin = performance.now();
    const section = await measure.run(bench);
    sections.push({
      ...section,
      measured: { date: new Date().toISOString().slice(0, 16), commit: commitOf() },
    });
    console.error(`${measure.name}: ${((performance.now() - begin) / 1000).toFixed(0)} s`);
    console.log(renderSection(section).join("\n"));
  }

  const whole = !options.quick && options.only === undefined && options.runtime === undefined;
  if (whole) store(results(bench, sections));
  else if (options.amend && !options.quick) amend(results(bench, sections));
  return sections.some(({ problems }) => problems.length > 0) ? 1 : 0;
}

function results({ runtimes, rounds }: Bench, sections: readonly Section[]): Results {
  return {
    date: new Date().toISOString().slice(0, 16),
    machine: describeMachine(runtimes),
    rounds,
    sections,
  };
}
