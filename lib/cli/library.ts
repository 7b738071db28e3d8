/** What the command takes from the library, in one place. */
import {
  diagnose,
  type Diagnosis,
  type DiagnosisCheck,
  type ProcessEvent,
  type ProcessField,
  type ProcessInfo,
  type ProcessPatterns,
  type ProcessWatch,
  type UntrustedSender,
  watchProcesses,
  type WatchProcessesOptions,
} from "../../mod.ts";
import { groupNames, userNames } from "../procfs/accounts.ts";
import { PROCESS_FIELDS } from "../processes/enricher.ts";

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
  watchProcesses,
  type WatchProcessesOptions,
};

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcessEvent;
