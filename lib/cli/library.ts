/** What the command takes from the library, in one place. */
import { type ProcessEvent, type ProcessInfo, watchProcesses } from "../../mod.ts";

export { watchProcesses };

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcessEvent;
