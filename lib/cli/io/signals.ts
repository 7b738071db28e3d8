import process from "node:process";
import { readTextFile } from "../../procfs/file.ts";
import { writeError } from "./output.ts";
import { systemLibc } from "../system.ts";

/** The signals by which a user, a script or a closing terminal asks the command to end. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** One of them. */
export type StopSignal = typeof SIGNALS[number];

/** Their numbers: the exit status of a command that a second one has cut short is 128 more, as shells have it. */
const NUMBERS: Readonly<Record<StopSignal, number>> = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 };

/**
 * The wish that the command ends: by a signal, or by its own time. A second signal means it: the process leaves at once.
 *
 * Signals that were ignored when the command was started stay so: nohup and a script's background jobs want that.
 */
export class StopRequest implements Disposable {
  /** Whether it has come. */
  made = false;
  #onRequest: (() => void) | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #signalled = false;
  readonly #remove: (() => void)[] = [];

  /** Waits for signals from now on. */
  constructor() {
    const libc = systemLibc();
    const ignored = ignoredSignals(libc === undefined ? "" : readTextFile(libc, "/proc/self/status") ?? "");
    for (const signal of SIGNALS) if (!ignored.has(signal)) this.#listen(signal);
  }

  /** What is done about it, once; at once where it has come already. */
  onRequest(action: () => void): void {
    this.#onRequest = action;
    if (this.made) action();
  }

  /** Makes it by itself after a time; undefined for never. */
  after(seconds: number | undefined): void {
    if (seconds !== undefined) this.#timer = setTimeout(() => this.#make(), seconds * 1000);
  }

  /** Takes the handlers away. */
  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const remove of this.#remove) remove();
  }

  #listen(signal: StopSignal): void {
    const listener = (): void => {
      if (this.#signalled) process.exit(128 + NUMBERS[signal]);
      this.#signalled = true;
      if (signal === "SIGINT" && process.stderr.isTTY) writeError("\n"); // after the terminal's ^C
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

/** Which of them a process ignores, by its /proc/PID/status. */
export function ignoredSignals(status: string): ReadonlySet<StopSignal> {
  const mask = BigInt(`0x${/^SigIgn:\s*([\da-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return new Set(SIGNALS.filter((signal) => (mask >> BigInt(NUMBERS[signal] - 1)) & 1n));
}
