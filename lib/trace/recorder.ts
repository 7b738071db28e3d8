import type { ExitEvent, ProcessEvent } from "../processes/event.ts";
import { encodeEvent, encodeLine } from "./encode.ts";
import type { RecordingEnd, RecordingHeader } from "./recording.ts";
import { redactArguments } from "./redact.ts";

/** What a recorder does with the events of a watch. */
export interface RecorderOptions {
  /** Gets the lines of the recording, several at once. */
  readonly write: (lines: string) => void;
  /** Gets every event that is recorded. */
  readonly onEvent: (event: ProcessEvent) => void;
  /** Whether what looks like a secret is hidden. */
  readonly redacts: boolean;
}

/** Makes a recording out of the events of a watch: of all of them, or those of one process and its descendants. */
export class TraceRecorder {
  readonly #options: RecorderOptions;
  readonly #live = new Set<number>();
  /** Children of this program that are not traced, and their descendants. */
  readonly #others = new Set<number>();
  #root: number | undefined;
  #self: number | undefined;
  #lines = "";
  #events = 0;
  #lost = 0;
  #lastNs: bigint;
  /** How the process of {@linkcode follow} has ended. */
  rootExit: ExitEvent | undefined;
  /** How many processes there were. */
  processes = 0;
  /** How many processes have ended with another code than 0, or by a signal. */
  failed = 0;

  /** Begins the recording. */
  constructor(header: RecordingHeader, options: RecorderOptions) {
    this.#options = options;
    this.#lastNs = BigInt(header.timestampNs);
    this.#lines = encodeLine(header);
  }

  /**
   * Records only a child of process `self`, this one, and its descendants. To be called before its first event is applied: so
   * nothing of it is missing, not even what came before its first exec.
   */
  follow(root: number, self: number): void {
    this.#root = root;
    this.#self = self;
    this.#join(root);
  }

  /** How many of the processes live. */
  get running(): number {
    return this.#live.size;
  }

  /** The processes that live, as far as it is known. */
  get live(): ReadonlySet<number> {
    return this.#live;
  }

  /** Records what concerns it of a batch, and writes it. */
  apply(batch: readonly ProcessEvent[]): void {
    for (const event of batch) this.#apply(event);
    this.flush();
  }

  /** Writes what has not been written. */
  flush(): void {
    if (this.#lines === "") return;
    this.#options.write(this.#lines);
    this.#lines = "";
  }

  /**
   * Writes the last line, and returns what is in it.
   *
   * @param endNs When it ended; undefined if that was the last event.
   */
  finish(end: Pick<RecordingEnd, "status" | "usageRefusal">, endNs: bigint | undefined): RecordingEnd {
    const last: RecordingEnd = {
      type: "end",
      timestampNs: String(endNs ?? this.#lastNs),
      events: this.#events,
      lost: this.#lost,
      ...end,
    };
    this.#lines += encodeLine(last);
    this.flush();
    return last;
  }

  #apply(event: ProcessEvent): void {
    const wasKnown = event.type === "fork" && this.#live.has(event.parentPid);
    if (!this.#concerns(event)) return;
    this.#events++;
    this.#lastNs = event.timestampNs;
    const its = this.#options.redacts ? redacted(event) : event;
    this.#lines += encodeEvent(its, !wasKnown);
    this.#options.onEvent(its);
  }

  /** Whether an event is recorded. */
  #concerns(event: ProcessEvent): boolean {
    switch (event.type) {
      case "lost":
        this.#lost += event.count ?? 1;
        return true;
      case "fork":
        if (event.thread) return false;
        if (!this.#isOurs(event.pid, event.parentPid, event.synthetic === true)) {
          this.#live.delete(event.pid);
          return false;
        }
        this.#join(event.pid);
        return true;
      case "exec":
        if (this.#live.has(event.pid)) return true;
        if (this.#root !== undefined) return false;
        this.#join(event.pid); // it has come into the control group
        return true;
      case "exit":
        this.#others.delete(event.pid);
        if (event.thread || !this.#live.delete(event.pid)) return false;
        if (event.pid === this.#root) this.rootExit = event;
        if (event.exitCode !== 0 && (event.exitCode !== null || event.signal !== null)) this.failed++;
        return true;
      default:
        return false;
    }
  }

  /**
   * Whether a new process is to be recorded. The watch has selected the descendants of this program: after a loss also those
   * whose parent is not known any more, and these may be ours.
   */
  #isOurs(pid: number, parentPid: number, synthetic: boolean): boolean {
    if (this.#root === undefined || pid === this.#root || this.#live.has(parentPid)) return true;
    if (synthetic && parentPid !== this.#self && !this.#others.has(parentPid)) return true;
    this.#others.add(pid);
    return false;
  }

  #join(pid: number): void {
    this.#others.delete(pid);
    if (this.#live.has(pid)) return;
    this.#live.add(pid);
    this.processes++;
  }
}

/** An event without what looks like a secret. */
function redacted(event: ProcessEvent): ProcessEvent {
  if (event.type === "lost" || event.type === "unknown") return event;
  const commandLine = event.process?.commandLine;
  if (commandLine === undefined) return event;
  return { ...event, process: { ...event.process!, commandLine: redactArguments(commandLine) } };
}
