import {
  type ProcessEventType,
  type ProcessField,
  type ProcessWatch,
  watchProcesses,
} from "../../../../mod.ts";
import type { AggregateBy } from "../../../processes/aggregate.ts";
import { userNames } from "../../../procfs/accounts.ts";
import { writeError } from "../../io/output.ts";
import { IdNames } from "../watch/row.ts";
import { orNumbers } from "../watch/watch.ts";

/** How long an event may wait, for only sums are shown: one receive then brings many. */
const LATENCY_MS = 250;

/** Opens a watch whose events are summed up, with what exists at the start. */
export async function openSummedWatch(
  fields: readonly ProcessField[],
  events: readonly ProcessEventType[],
  descendantsOf: number | undefined,
  usage: boolean = false,
): Promise<ProcessWatch> {
  const watch = await watchProcesses({
    events,
    descendantsOf,
    usage,
    snapshot: true,
    processInfo: { fields },
    latencyMs: LATENCY_MS,
  });
  const refusal = watch.stats().usage?.refusal;
  if (refusal !== undefined) {
    writeError(`Note: the processor time of processes that have ended is unknown: ${refusal}\n`);
  }
  return watch;
}

/** The names of users for an aggregate by user. */
export async function namesFor(by: AggregateBy): Promise<IdNames> {
  return new IdNames(by === "user" ? await orNumbers(userNames()) : new Map());
}
