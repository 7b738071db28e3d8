import type { ProcessEvent } from "../processes/event.ts";
import { encodeLine, type RecordingEnd, type RecordingHeader } from "./recording.ts";

/**
 * Writes the recording of one process and its descendants, out of the events of a watch that was opened before the process
 * was started: so nothing of it is missing, not even what came before its first exec.
 */
export class TraceRecorder {
  readonly #write: (line: string) => void;
  readonly #onEvent: (event: ProcessEvent) => void;
  readonly #live = new Set<number>();
  #root: number | undefined;
  #events = 0;
  #lost = 0;
  #rootEnded = false;
  #lastNs: bigint;

  /** Writes the first line. `onEvent` gets every event that is recorded. */
  constructor(
    header: RecordingHeader,
    write: (line: string) => void,
    onEvent: (event: ProcessEvent) => void,
  ) {
    this.#write = write;
    this.#onEvent = onEvent;
    this.#lastNs = BigInt(header.timestampNs);
    write(encodeLine(header));
  }

  /** Says which process it is. To be called before its first event is applied. */
  follow(pid: number): void {
    this.#root = pid;
  }

  /** Whether the process has ended. */
  get rootEnded(): boolean {
    return this.#rootEnded;
  }

  /** How many of its processes live. */
  get running(): number {
    return this.#live.size;
  }

  /** How many processes have ended with another code than 0, or by a signal. */
  failed = 0;
  /** How many processes there were. */
  started = 0;

  /** Records an event if it is of the process, one of its descendants, or a loss. */
  apply(event: ProcessEvent): void {
    if (!this.#concerns(event)) return;
    this.#events++;
    this.#lastNs = event.timestampNs;
    this.#write(encodeLine(event));
    this.#onEvent(event);
  }

  /** Writes the last line, and returns what is in it. `status` is that of the command as a shell has it, if it has ended. */
  finish(status: number | null): RecordingEnd {
    const end: RecordingEnd = {
      type: "end",
      timestampNs: String(this.#lastNs),
      events: this.#events,
      lost: this.#lost,
      status,
    };
    this.#write(encodeLine(end));
    return end;
  }

  #concerns(event: ProcessEvent): boolean {
    switch (event.type) {
      case "lost":
        this.#lost += event.count ?? 0;
        return true;
      case "fork":
        if (event.thread || !(event.pid === this.#root || this.#live.has(event.parentPid))) return false;
        this.#live.add(event.pid);
        this.started++;
        return true;
      case "exec":
        return this.#live.has(event.pid);
      case "exit":
        if (event.thread || !this.#live.delete(event.pid)) return false;
        if (event.pid === this.#root) this.#rootEnded = true;
        if (event.status !== 0) this.failed++;
        return true;
      default:
        return false;
    }
  }
}
