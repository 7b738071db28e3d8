import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderChart } from "./chart.ts";
import { renderReport, type Results } from "./report.ts";
import type { Section } from "./section.ts";

const FOLDER = join(import.meta.dirname, "results");
const SHOWN = 3;

/** Keeps a run, and writes RESULTS.md and the chart anew from the last few. */
export function store(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  const name = results.date.replace(/[^0-9T-]/g, "");
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writeReport();
}

/** Puts sections into the newest kept run, in place of its own. */
export function amend(sections: readonly Section[]): void {
  const [name] = keptRuns();
  if (name === undefined) throw new Error("There is no kept run: run the whole benchmark first");
  const path = join(FOLDER, name);
  const results: Results = JSON.parse(readFileSync(path, "utf8"));
  const titles = new Set(sections.map(({ title }) => title));
  const kept = results.sections.filter(({ title }) => !titles.has(title));
  writeFileSync(path, `${JSON.stringify({ ...results, sections: [...kept, ...sections] }, null, 1)}\n`);
  writeReport();
}

/** RESULTS.md and results.svg from the stored runs, the newest first. */
export function writeReport(): void {
  const runs = keptRuns().slice(0, SHOWN).map((name): Results =>
    JSON.parse(readFileSync(join(FOLDER, name), "utf8"))
  );
  writeFileSync(join(import.meta.dirname, "RESULTS.md"), renderReport(runs));
  writeFileSync(join(import.meta.dirname, "results.svg"), renderChart(runs[0]!.sections));
}

function keptRuns(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort().reverse();
}
