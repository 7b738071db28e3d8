import { ExecRecords } from "../processes/exec_records.ts";
import { explainRecordsRefusal } from "../processes/explain_records_refusal.ts";
import { type Finding, ok, warn } from "./check.ts";
import type { CallableContext } from "./context.ts";

/** Whether the kernel records the arguments of every exec for us: the proof, by an eBPF program that is removed at once. */
export function checkExecRecords({ system }: CallableContext): Finding {
  try {
    ExecRecords.open(system.libc, "diagnose")[Symbol.dispose]();
    return ok("the kernel records the arguments of every program that starts (eBPF)");
  } catch (error) {
    const { finding, advice } = explainRecordsRefusal(system.libc, error);
    return warn(
      `command lines come from /proc alone, and short-lived programs may have none: ${finding}`,
      advice,
    );
  }
}
