import { explainTaskstatsRefusal } from "../taskstats/explain_refusal.ts";
import { TaskstatsListener } from "../taskstats/listener.ts";
import { type Finding, ok, warn } from "./check.ts";
import type { CallableContext } from "./context.ts";

/** Whether the kernel sends us what processes have used when they end: the proof, by a registration that is ended at once. */
export function checkUsage({ system }: CallableContext): Finding {
  try {
    TaskstatsListener.open(system, "diagnose")[Symbol.dispose]();
    return ok("the kernel sends what every process has used when it ends (taskstats)");
  } catch (error) {
    const { finding, advice } = explainTaskstatsRefusal(error);
    return warn(`CPU time and memory of processes that end are unknown: ${finding}`, advice);
  }
}
