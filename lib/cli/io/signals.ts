import process from "node:process";
import { readTextFile } from "../../procfs/file.ts";
import { writeError } from "./output.ts";
import { systemLibc } from "../runtime.ts";

/** The signals by which a user, a script or a closing terminal asks the command to stop. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One of them. */
export type StopSignal = typeof SIGNALS[number];

/** Their numbers. A second signal exits with 128 plus the number, as shells report it. */
const NUMBERS: Readonly<Record<StopSignal, number>> = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };

/**
 * A request to stop, by a signal or a timer. A second signal exits immediately.
 *
 * Signals that were ignored when the command was started stay ignored, as nohup and background jobs expect.
 */
export class StopRequest implements Disposable {
  /** Whether the command has been asked to stop. */
  made = false;
  /** The exit status by which shells know that a signal has ended it; undefined without a signal. */
  signalStatus: number | undefined;
  #onRequest: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #signalled = false;
  readonly #remove: (() => void)[] = [];

  /** Handles signals from now on. */
  constructor() {
    const libc = systemLibc();
    const ignored = ignoredSignals(libc === undefined ? "" : readTextFile(libc, "/proc/self/status") ?? "");
    for (const signal of SIGNALS) if (!ignored.has(signal)) this.#listen(signal);
  }

  /** Sets the action, which is called once; immediately if the request has already been made. */
  onRequest(action: () => void): void {
    this.#onRequest = action;
    if (this.made) action();
  }

  /** Makes the request after a time; undefined for never. */
  after(seconds: number | undefined): void {
    if (seconds !== undefined) this.#timer = setTimeout(() => this.#make(), seconds * 1000);
  }

  /** Removes the handlers. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const remove of this.#remove) remove();
  }

  #listen(signal: StopSignal): void {
    const listener = (): void => {
      if (this.#signalled) process.exit(128 + NUMBERS[signal]);
      this.#signalled = true;
      this.signalStatus = 128 + NUMBERS[signal];
      if (signal === "SIGINT" && process.stderr.isTTY) writeError("\n"); // end the line with the terminal's ^C
      this.#make();
    };
    process.on(signal, listener);
    this.#remove.push(() => process.off(signal, listener));
  }

  #make(): void {
    if (this.made) return;
    this.made = true;
    this.#onRequest?.();
  }
}

/** Which of them a process ignores, according to its /proc/PID/status. */
export function ignoredSignals(status: string): ReadonlySet<StopSignal> {
  const mask = BigInt(`0x${/^SigIgn:\s*([\da-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set(SIGNALS.filter((signal) => (mask >> BigInt(NUMBERS[signal] - 1)) & 1n));
}
