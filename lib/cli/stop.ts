import process from "node:process";
import { writeError } from "./output.ts";

/** The signals by which a user, a script or a closing terminal asks the command to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The exit status of a command that a signal has cut short: 128 and its number, as shells have it. */
const SECOND_SIGNAL_STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Calls `stop` at the first signal that asks to end. A second one means it: the process leaves at once.
 *
 * @returns Takes the handlers away.
 */
export function onStopSignal(stop: () => void): () => void {
  let asked = false;
  const listeners = SIGNALS.map((signal) => {
    const listener = (): void => {
      if (asked) process.exit(SECOND_SIGNAL_STATUS[signal]);
      asked = true;
      if (signal === "SIGINT" && process.stderr.isTTY) writeError("\n"); // after the terminal's ^C
      stop();
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return () => listeners.forEach((remove) => remove());
}
