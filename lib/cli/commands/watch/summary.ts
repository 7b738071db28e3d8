import type { ProcessEvent, UntrustedSender } from "../../../../mod.ts";
import { LossSum } from "../../../processes/loss_sum.ts";
import { lossText } from "../../loss_text.ts";
import { safeText } from "../../../wire/escape.ts";

/** The state of a watch at its end. */
export interface WatchEnd {
  /** Monotonic time, as from `performance.now()`. */
  readonly nowMs: number;
  /** Whether events may have been left in the kernel's queue. */
  readonly queueLeft: boolean;
  /** Events that a filter left out because their process could not be read. */
  readonly undecided: number;
  readonly untrustedSenders: readonly UntrustedSender[];
}

/** Counts the events that a watch has shown. */
export class Summary {
  readonly #startedMs: number;
  readonly #counts = new Map<string, number>();
  /** Events that were received but not yet written, in order. */
  readonly #waiting: string[] = [];
  readonly #losses = new LossSum();

  /** `nowMs` is the monotonic time of the start. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** Records an event whose line is about to be written. */
  receive(event: ProcessEvent): void {
    this.#waiting.push(nameOf(event));
    if (event.type === "lost") this.#losses.add(event);
  }

  /** Records that the next `lines` lines have been written. */
  write(lines: number): void {
    const waiting = this.#waiting;
    const count = Math.min(lines, waiting.length);
    for (let i = 0; i < count; i++) {
      const name = waiting[i]!;
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    }
    if (count === waiting.length) waiting.length = 0;
    else waiting.splice(0, count);
  }

  /**
   * `1204 events in 10.2 s (118/s): fork 401, exec 402, exit 401; none lost`, followed if necessary by
   * `; 12 forged by pid 4711 (name): not shown` and by how many events were received but not written, or
   * could not be matched.
   */
  text({ nowMs, queueLeft, undecided, untrustedSenders }: WatchEnd): string {
    const seconds = Math.max((nowMs - this.#startedMs) / 1000, 0.001);
    let total = 0;
    const parts: string[] = [];
    for (const [name, count] of this.#counts) {
      if (name === "lost") continue;
      total += count;
      parts.push(`${name} ${count}`);
    }
    const rate = total / seconds;
    const losses = lossText(this.#losses).replace(" events", "");
    const kinds = parts.length === 0 ? "" : `: ${parts.join(", ")}`;
    return `${total} ${total === 1 ? "event" : "events"} in ${seconds.toFixed(1)} s ` +
      `(${rate.toFixed(rate < 10 ? 1 : 0)}/s)${kinds}${this.#unshownText()}${undecidedText(undecided)}; ` +
      (queueLeft ? `more were still queued, ${losses} before them` : losses) +
      forgeriesText(untrustedSenders);
  }

  #unshownText(): string {
    const count = this.#waiting.filter((name) => name !== "lost").length;
    return count === 0 ? "" : `; ${count} more received but not written: the output was not read`;
  }
}

function undecidedText(count: number): string {
  return count === 0 ? "" : `; ${count} more may match: their process exited before it could be read`;
}

function forgeriesText(forgers: readonly UntrustedSender[]): string {
  const parts = forgers.map(({ port, count, pid, comm = "" }) => {
    const other = port === undefined ? "others" : `port ${port}`;
    return `${count} forged by ${pid === undefined ? other : `pid ${pid} (${safeText(comm)})`}`;
  });
  return parts.length === 0 ? "" : `; ${parts.join(", ")}: not shown`;
}

function nameOf(event: ProcessEvent): string {
  if (event.type === "fork" && event.thread) return "thread";
  if (event.type === "exit" && event.thread) return "thread exit";
  if (event.type === "coredump") return "core";
  if (event.type === "unknown") return "other";
  return event.type;
}
