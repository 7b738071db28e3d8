import type { ShownEvent, ShownProcess } from "../../library.ts";

/** So many processes are remembered; the one that was not seen for longest goes first. */
const LIMIT = 65_536;

/**
 * What was known of a process at the event before this one: the name and the ids that an event changes are in the
 * event only as they are after it.
 */
export class LastSeen {
  readonly #limit: number;
  readonly #last = new Map<number, ShownProcess>();

  /** `limit` is for tests. */
  constructor(limit: number = LIMIT) {
    this.#limit = limit;
  }

  /** Takes note of an event, and answers what was known before it. */
  before(event: ShownEvent): ShownProcess | undefined {
    const { process } = event;
    if (process === undefined) return undefined;
    const { pid } = process;
    const before = this.#last.get(pid);
    this.#last.delete(pid);
    if (event.type === "exit" && !event.thread) return before;
    this.#last.set(pid, process);
    if (this.#last.size > this.#limit) this.#last.delete(this.#last.keys().next().value!);
    // Another process may have had the number.
    return event.type === "fork" && !event.thread ? undefined : before;
  }
}
