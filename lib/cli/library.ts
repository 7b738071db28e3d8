/** What the command takes from the library, in one place. */
import { type ProcessInfo, type ProcEvent, watchProcesses } from "../../mod.ts";

export { watchProcesses };

/** What is known of a process. */
export type ShownProcess = ProcessInfo;

/** An event, and what is known of its process. */
export type ShownEvent = ProcEvent & { readonly process?: ProcessInfo | undefined };
