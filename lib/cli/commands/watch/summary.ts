import type { ShownEvent, UntrustedSender } from "../../library.ts";
import { safeText } from "../../io/safe_text.ts";

/** What is known of a watch at its end, beside its events. */
export interface WatchEnd {
  /** The monotonic time of the runtime. */
  readonly nowMs: number;
  /** Whether events were left in the kernel's queue, for all that is known. */
  readonly queueLeft: boolean;
  readonly untrustedByPort: ReadonlyMap<number, UntrustedSender>;
}

/** Counts what a watch has shown, for the line at its end. */
export class Summary {
  readonly #startedMs: number;
  readonly #counts = new Map<string, number>();
  /** What was received and is not yet known to be written, in order. */
  #waiting: string[] = [];
  #lost = 0;
  #lostUnknown = false;

  /** `nowMs` is the monotonic time at which the watch began. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** Takes note of an event whose line will be written after those before it. */
  receive(event: ShownEvent): void {
    this.#waiting.push(nameOf(event));
    if (event.type !== "lost") return;
    if (event.count === undefined) this.#lostUnknown = true;
    else this.#lost += event.count;
  }

  /** Takes note that the lines of so many events more have been written. */
  write(lines: number): void {
    for (const name of this.#waiting.splice(0, lines)) {
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
    }
  }

  /**
   * `1204 events in 10.2 s (118/s): fork 401, exec 402, exit 401; none lost`, where need be with
   * `; 12 forged by pid 4711 (name): not shown`, and with what was received or queued and could not be shown.
   */
  text({ nowMs, queueLeft, untrustedByPort }: WatchEnd): string {
    const seconds = Math.max((nowMs - this.#startedMs) / 1000, 0.001);
    let total = 0;
    const parts: string[] = [];
    for (const [name, count] of this.#counts) {
      if (name === "lost") continue;
      total += count;
      parts.push(`${name} ${count}`);
    }
    const rate = total / seconds;
    const kinds = parts.length === 0 ? "" : `: ${parts.join(", ")}`;
    return `${total} ${total === 1 ? "event" : "events"} in ${seconds.toFixed(1)} s ` +
      `(${rate.toFixed(rate < 10 ? 1 : 0)}/s)${kinds}${this.#unshownText()}; ` +
      (queueLeft ? `more were queued, ${this.#lostText()} before them` : this.#lostText()) +
      forgeriesText(untrustedByPort);
  }

  #unshownText(): string {
    const count = this.#waiting.filter((name) => name !== "lost").length;
    return count === 0 ? "" : `; ${count} more received and not shown: their reader did not read`;
  }

  #lostText(): string {
    if (this.#lostUnknown) return this.#lost === 0 ? "some lost" : `more than ${this.#lost} lost`;
    return this.#lost === 0 ? "none lost" : `${this.#lost} lost`;
  }
}

function forgeriesText(forgers: ReadonlyMap<number, UntrustedSender>): string {
  const parts = [...forgers].map(([port, { count, pid, comm = "" }]) => {
    const other = port === -1 ? "others" : `port ${port}`;
    return `${count} forged by ${pid === undefined ? other : `pid ${pid} (${safeText(comm)})`}`;
  });
  return parts.length === 0 ? "" : `; ${parts.join(", ")}: not shown`;
}

function nameOf(event: ShownEvent): string {
  if (event.type === "fork" && event.thread) return "thread";
  if (event.type === "exit" && event.thread) return "thread exit";
  if (event.type === "coredump") return "core";
  if (event.type === "unknown") return "other";
  return event.type;
}
