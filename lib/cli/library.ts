/** What the command takes from the library, in one place. */
import {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  type ForeignSender,
  groupNames,
  type ProcessEvent,
  type ProcessInfo,
  type ProcessPatterns,
  type ProcessWatch,
  userNames,
  type Verdict,
  watchProcesses,
  type WatchProcessesOptions,
} from "../../mod.ts";

export {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  type ForeignSender,
  groupNames,
  type ProcessPatterns,
  type ProcessWatch,
  userNames,
  type Verdict,
  watchProcesses,
  type WatchProcessesOptions,
};

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcessEvent;
