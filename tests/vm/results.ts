// What a boot left in the shared folder, turned into tests passed, failed and skipped.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { resultName } from "./job.ts";
import { parseJunit, type TestResult } from "../support/junit.ts";
import { tail } from "./programs.ts";

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

export function collect(folder: string, files: readonly string[]): readonly TestResult[] {
  return files.flatMap((file) => collectFile(folder, file));
}

function collectFile(folder: string, file: string): readonly TestResult[] {
  const base = join(folder, resultName(file));
  const report = readText(`${base}.xml`);
  const status = readText(`${base}.rc`).trim();
  const tests = parseJunit(report).map((test) => ({ ...test, name: `${file}: ${test.name}` }));
  if (status === "0" && tests.length > 0) return tests;
  if (tests.some((test) => test.outcome === "failed")) return tests;
  if (status === "" && !existsSync(`${base}.log`)) {
    return [{ name: `${file}: was not reached`, outcome: "failed", message: "" }];
  }
  // a crash, a hang or an error outside any test: the report alone would look like success
  const why = status === ""
    ? "was not run to its end"
    : status === "0"
    ? "ran no test"
    : endedBy(Number(status));
  const message = [tail(readText(`${base}.log`), 25), tail(readText(`${base}.dmesg`), 10)].join("\n").trim();
  return [...tests, { name: `${file}: ${why}`, outcome: "failed", message }];
}

function endedBy(status: number): string {
  if (status === 124 || status === 143) return "did not end within its time";
  return status > 128 ? `died of signal ${status - 128}` : `exit status ${status}`;
}

export function count(tests: readonly TestResult[]): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const test of tests) counts[test.outcome]++;
  return counts;
}

export function describeCounts(counts: Counts): string {
  return `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`;
}

export function describeFailure(test: TestResult): string {
  const message = test.message === "" ? [] : test.message.split("\n").slice(0, 40);
  return [`    ✗ ${test.name}`, ...message.map((line) => `      ${line}`)].join("\n");
}

/** The end of a guest's console, or its last words from where the kernel says that it dies. */
export function consoleEnd(text: string): string {
  const lines = text.trimEnd().split("\n");
  const death = lines.findIndex((line) => /Kernel panic|Oops|BUG: |sysrq: /.test(line));
  return (death < 0 ? lines.slice(-20) : lines.slice(death, death + 30)).join("\n");
}

export function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
