import type { Report } from "./contenders.ts";
import { eventsOf, type StormResult } from "./storms.ts";

/**
 * Whether a contender counted right: of what the storm made, nothing is delivered twice, and what is not delivered is
 * reported lost. Answers what does not fit.
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
  // Events of other programs may be among the lost ones, so this is a bound; without loss it is exact.
  if (missing > lost) problems.push(`${missing} events are missing, and ${lost} were reported lost`);
  if (missing === 0 && own.childPidSum !== storm.childPidSum) {
    problems.push(`the pids of the children add up to ${own.childPidSum}, not ${storm.childPidSum}`);
  }
  return problems;
}
