import {
  type ProcessEventType,
  type ProcessField,
  type ProcessWatch,
  watchProcesses,
} from "../../../../mod.ts";
import type { AggregateBy } from "../../../processes/aggregate.ts";
import { userNames } from "../../../procfs/accounts.ts";
import { IdNames } from "../watch/row.ts";
import { orNumbers } from "../watch/watch.ts";

/** With the kernel's records an event may wait so long, for only sums are shown: one receive then brings many. */
const LATENCY_MS = 250;
/** Without them a name must be read from /proc before its process has ended; see `busyPollMs`. */
const BUSY_POLL_MS = 2;

/** Opens a watch whose events are summed up, with what exists at the start. */
export async function openSummedWatch(
  fields: readonly ProcessField[],
  events: readonly ProcessEventType[],
  descendantsOf: number | undefined,
): Promise<ProcessWatch> {
  const options = { events, descendantsOf, snapshot: true };
  try {
    const processInfo = { fields, execRecords: "required" } as const;
    return await watchProcesses({ ...options, processInfo, latencyMs: LATENCY_MS });
  } catch {
    // Not permitted, most likely. What else is wrong is found out again.
    const processInfo = { fields, execRecords: "off" } as const;
    return await watchProcesses({ ...options, processInfo, busyPollMs: BUSY_POLL_MS });
  }
}

/** The names of users for an aggregate by user. */
export async function namesFor(by: AggregateBy): Promise<IdNames> {
  return new IdNames(by === "user" ? await orNumbers(userNames()) : new Map());
}
