import { isatty } from "node:tty";
import type { TraceProgress } from "../../../trace/mod.ts";
import { writeError } from "../../io/output.ts";

const STDERR = 2;
/** How often the line is written again. */
const EVERY_MS = 200;

/** One line of the terminal that says how a trace gets on. */
export class LiveLine implements Disposable {
  readonly #startMs = performance.now();
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #progress: TraceProgress = { processes: 0, running: 0, failed: 0 };

  constructor() {
    if (isatty(STDERR)) this.#timer = setInterval(() => this.#write(), EVERY_MS);
    else writeError("cnctl: --live shows nothing: standard error is not a terminal\n");
  }

  /** Sets what is shown. */
  update(progress: TraceProgress): void {
    this.#progress = progress;
  }

  /** Removes the line. */
  [Symbol.dispose](): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    writeError("\r\x1b[K");
  }

  #write(): void {
    const { processes, running, failed } = this.#progress;
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(0);
    writeError(`\r\x1b[Kcnctl: ${seconds} s: ${processes} processes, ${running} running, ${failed} failed`);
  }
}
