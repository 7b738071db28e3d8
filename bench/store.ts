import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderChart } from "./chart.ts";
import { renderReport, type Results } from "./report.ts";

const FOLDER = join(import.meta.dirname, "results");
const SHOWN = 3;

/** Keeps a run, and writes RESULTS.md and the chart anew from the last few. */
export function store(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  const name = results.date.replace(/[^0-9T-]/g, "");
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writeReport();
}

/** RESULTS.md and results.svg from the stored runs, the newest first. */
export function writeReport(): void {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort().reverse().slice(0, SHOWN);
  const runs = names.map((name): Results => JSON.parse(readFileSync(join(FOLDER, name), "utf8")));
  writeFileSync(join(import.meta.dirname, "RESULTS.md"), renderReport(runs));
  writeFileSync(join(import.meta.dirname, "results.svg"), renderChart(runs[0]!.sections));
}
