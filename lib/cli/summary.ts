import type { ForeignSender, ShownEvent } from "./library.ts";
import { safeText } from "./safe_text.ts";

/** Counts what a watch has shown, for the line at its end. */
export class Summary {
  readonly #startedMs: number;
  readonly #counts = new Map<string, number>();
  #lost = 0;
  #lostUnknown = false;

  /** `nowMs` is the monotonic time at which the watch began. */
  constructor(nowMs: number) {
    this.#startedMs = nowMs;
  }

  /** Takes note of an event that is shown. */
  count(event: ShownEvent): void {
    if (event.type === "lost") {
      if (event.count === undefined) this.#lostUnknown = true;
      else this.#lost += event.count;
      return;
    }
    const name = nameOf(event);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  /**
   * `1204 events in 10.2 s (118/s): fork 401, exec 402, exit 401; none lost`, and `; 12 forged by pid 4711 (name): not
   * shown` where somebody tried.
   */
  text(nowMs: number, forgers: ReadonlyMap<number, ForeignSender>): string {
    const seconds = Math.max((nowMs - this.#startedMs) / 1000, 0.001);
    let total = 0;
    const parts: string[] = [];
    for (const [name, count] of this.#counts) {
      total += count;
      parts.push(`${name} ${count}`);
    }
    const rate = total / seconds;
    const kinds = parts.length === 0 ? "" : `: ${parts.join(", ")}`;
    return `${total} ${total === 1 ? "event" : "events"} in ${seconds.toFixed(1)} s ` +
      `(${rate.toFixed(rate < 10 ? 1 : 0)}/s)${kinds}; ${this.#lostText()}${forgeriesText(forgers)}`;
  }

  #lostText(): string {
    if (this.#lostUnknown) return this.#lost === 0 ? "some lost" : `more than ${this.#lost} lost`;
    return this.#lost === 0 ? "none lost" : `${this.#lost} lost`;
  }
}

function forgeriesText(forgers: ReadonlyMap<number, ForeignSender>): string {
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
