import { TimeText } from "../../io/clock.ts";
import { type DmLogEvent, dmLogJson, dmLogSentence, dmLogText, isTrouble } from "./events.ts";
import type { Output } from "../../io/output.ts";
import { safeSentence } from "../../io/safe_text.ts";

/** So much text may wait for its reader. */
const MAX_WAITING = 1 << 20;
/** How often standard error is told the same: a mirror that is refused goes on asking. */
const SAME_ERROR_MS = 60_000;
/** So many errors are remembered. */
const MAX_ERRORS = 1000;

/**
 * Writes what a server tells. The kernel waits for the server, so the server never waits for who reads: what a slow
 * reader has no room for is left out and counted, and a reader that has gone changes nothing.
 */
export class EventWriter {
  readonly #output: Output;
  readonly #complain: (text: string) => void;
  readonly #json: boolean;
  readonly #times: TimeText = new TimeText();
  /** When standard error was told of an error. */
  readonly #toldMs = new Map<string, number>();
  #waiting = "";
  #leftOut = 0;
  #gone = false;
  #writing: Promise<void> | undefined;

  /** `complain` writes to standard error. */
  constructor(output: Output, complain: (text: string) => void, json: boolean) {
    this.#output = output;
    this.#complain = complain;
    this.#json = json;
  }

  /** Tells an event. Trouble is told on standard error; as JSON on standard output as well. */
  tell(event: DmLogEvent): void {
    const trouble = isTrouble(event);
    if (trouble && this.#isNews(event)) this.#complain(`cnctl: ${safeSentence(dmLogSentence(event))}\n`);
    if (this.#gone || (trouble && !this.#json)) return;
    if (this.#waiting.length > MAX_WAITING) this.#leftOut++;
    else this.#waiting += this.#line(event);
    this.#writing ??= this.#write();
  }

  /** Waits until all is written, but not longer than `ms`. */
  async finish(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([this.#writing, late]);
    clearTimeout(timer);
  }

  #isNews(event: DmLogEvent): boolean {
    if (event.type !== "error") return true;
    const formatExplanation = dmLogSentence(event);
    const told = this.#toldMs.get(formatExplanation);
    const now = performance.now();
    if (told !== undefined && now - told < SAME_ERROR_MS) return false;
    if (this.#toldMs.size >= MAX_ERRORS) this.#toldMs.clear();
    this.#toldMs.set(formatExplanation, now);
    return true;
  }

  #line(event: DmLogEvent): string {
    return (this.#json ? dmLogJson : dmLogText)(event, Date.now(), this.#times);
  }

  async #write(): Promise<void> {
    try {
      while (this.#waiting !== "" && !this.#gone) {
        const text = this.#waiting;
        this.#waiting = this.#leftOut === 0 ? "" : this.#line({ type: "unwritten", count: this.#leftOut });
        this.#leftOut = 0;
        if (!(await this.#output.write(text))) this.#gone = true;
      }
    } catch (error) {
      this.#gone = true;
      this.#complain(`cnctl: ${safeSentence((error as Error).message)}: it goes on serving\n`);
    }
    this.#waiting = "";
    this.#writing = undefined;
  }
}
