import type { Report } from "./contenders.ts";
import { eventsOf, type StormResult } from "./storms.ts";

/**
 * Checks a contender's counts: no event of the storm is delivered twice, and each one that is not delivered is reported
 * lost. Returns the discrepancies.
 */
export function checkCounts(report: Report, storm: StormResult): string[] {
  const problems: string[] = [];
  if (storm.count !== storm.asked) problems.push(`the storm ended after ${storm.count} of ${storm.asked}`);
  const { own, lost = 0 } = report;
  if (own === undefined) return problems;

  const made = eventsOf(storm);
  let missing = 0;
  for (const kind of ["fork", "exit", "comm"] as const) {
    if (report.types?.[kind] === undefined) continue;
    if (own[kind] > made[kind]) problems.push(`${own[kind]} ${kind} events of ${made[kind]}`);
    missing += Math.max(0, made[kind] - own[kind]);
  }
  // Lost events may include those of other programs, so this is a bound. Without loss it is exact.
  if (missing > lost) problems.push(`${missing} events are missing, and ${lost} were reported lost`);
  if (missing === 0 && own.childPidSum !== storm.childPidSum) {
    problems.push(`the pids of the children add up to ${own.childPidSum}, not ${storm.childPidSum}`);
  }
  return problems;
}
