/** What the command takes from the library, in one place. */
import {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  type ProcessEvent,
  type ProcessInfo,
  type Verdict,
  watchProcesses,
} from "../../mod.ts";

export { diagnose, type Diagnosis, type DiagnosisCheck, type Verdict, watchProcesses };

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcessEvent;
