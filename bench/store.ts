import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { renderDetails, renderGoals, type Results } from "./report.ts";

const FOLDER = import.meta.dirname!;
const PATH = join(FOLDER, "results.json");

/** Keeps a run in place of the one before, and writes RESULTS.md and DETAILS.md. */
export function store(results: Results): void {
  writeFileSync(PATH, `${JSON.stringify(results, null, 1)}\n`);
  writeReport();
}

/** Replaces sections of the kept run, or adds them. Without a kept run, these are the first. */
export function amend(results: Results): void {
  if (!existsSync(PATH)) return store(results);
  const kept: Results = JSON.parse(readFileSync(PATH, "utf8"));
  const sections = new Map(
    [...kept.sections, ...results.sections].map((section) => [section.title, section]),
  );
  store({ ...kept, sections: [...sections.values()] });
}

/** Writes RESULTS.md and DETAILS.md from the kept run. */
export function writeReport(): void {
  const results: Results = JSON.parse(readFileSync(PATH, "utf8"));
  writeFileSync(join(FOLDER, "RESULTS.md"), renderGoals(results));
  writeFileSync(join(FOLDER, "DETAILS.md"), renderDetails(results));
}
