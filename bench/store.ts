import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderChart } from "./chart.ts";
import { renderReport, type Results } from "./report.ts";

const FOLDER = join(import.meta.dirname!, "results");
const SHOWN = 3;

/** Keeps a run, and writes RESULTS.md and the chart anew from the last few. */
export function store(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  const name = results.date.replace(/[^0-9T-]/g, "");
  writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(results, null, 1)}\n`);
  writeReport();
}

/** Puts sections into the newest kept run, in place of its own; where none is kept, they are the first. */
export function amend(results: Results): void {
  const [name] = existsSync(FOLDER) ? keptRuns() : [];
  if (name === undefined) return store(results);
  const path = join(FOLDER, name);
  const old: Results = JSON.parse(readFileSync(path, "utf8"));
  const order = new Map(results.sections.map((section) => [section.title, section]));
  const sections = old.sections.map((section) => order.get(section.title) ?? section);
  const added = results.sections.filter(({ title }) =>
    !old.sections.some((section) => section.title === title)
  );
  writeFileSync(path, `${JSON.stringify({ ...old, sections: [...sections, ...added] }, null, 1)}\n`);
  writeReport();
}

/** RESULTS.md and results.svg from the stored runs, the newest first. */
export function writeReport(): void {
  const runs = keptRuns().slice(0, SHOWN).map((name): Results =>
    JSON.parse(readFileSync(join(FOLDER, name), "utf8"))
  );
  writeFileSync(join(import.meta.dirname!, "RESULTS.md"), renderReport(runs));
  writeFileSync(join(import.meta.dirname!, "results.svg"), renderChart(runs[0]!.sections));
}

function keptRuns(): string[] {
  return readdirSync(FOLDER).filter((name) => name.endsWith(".json")).sort().reverse();
}
