/** What the command takes from the library, in one place. */
import {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  groupNames,
  PROCESS_FIELDS,
  type ProcessEvent,
  type ProcessField,
  type ProcessInfo,
  type ProcessPatterns,
  type ProcessWatch,
  type UntrustedSender,
  userNames,
  type Verdict,
  watchProcesses,
  type WatchProcessesOptions,
} from "../../mod.ts";

export {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  groupNames,
  PROCESS_FIELDS,
  type ProcessField,
  type ProcessPatterns,
  type ProcessWatch,
  type UntrustedSender,
  userNames,
  type Verdict,
  watchProcesses,
  type WatchProcessesOptions,
};

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcessEvent;
