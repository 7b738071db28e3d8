import { BufferedStream } from "../stream.ts";
import type { MessagesOptions } from "./options.ts";
import type { LostEvent } from "../lost_event.ts";
import type { ReceivedMessage } from "./sender.ts";
import type { Groups } from "./groups.ts";

const DEFAULT_LIMIT = 1024;

/** What one reader of new messages iterates over. */
type MessageStream = BufferedStream<ReceivedMessage | LostEvent>;

interface OpenStream {
  /** Whose messages it has; undefined for all. */
  readonly groups: ReadonlySet<number> | undefined;
  /** Whether it takes the messages of the current batch, even beyond its limit. */
  takesBatch: boolean;
}

/** The streams of new messages that are open on a connector, each a member of the groups that it was opened for. */
export class Streams {
  readonly #groups: Groups;
  readonly #onDemand: () => void;
  readonly #open = new Map<MessageStream, OpenStream>();
  #isOver = false;

  /** `onDemand` is called when a reader waits, or has room again. */
  constructor(groups: Groups, onDemand: () => void) {
    this.#groups = groups;
    this.#onDemand = onDemand;
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether one of them has room. */
  get haveRoom(): boolean {
    for (const stream of this.#open.keys()) if (!stream.isFull) return true;
    return false;
  }

  /** Opens one, which has the messages that arrive from now on. */
  open({ groups, signal, limit = DEFAULT_LIMIT }: MessagesOptions): MessageStream {
    if (!(limit >= 1)) throw new RangeError(`Cannot read messages: limit must be 1 or more, and is ${limit}`);
    const wanted = groups && new Set(groups);
    const joined: number[] = [];
    const leave = (): void => {
      // When the connector closes, its socket leaves all groups.
      for (const group of joined) if (!this.#isOver) this.#groups.leave(group);
    };
    const stream: MessageStream = new BufferedStream({
      limit,
      signal,
      onDemand: this.#onDemand,
      onClose: () => {
        this.#open.delete(stream);
        leave();
      },
    });
    try {
      for (const group of wanted ?? []) {
        this.#groups.join(group);
        joined.push(group);
      }
    } catch (error) {
      void stream.close();
      throw error;
    }
    this.#open.set(stream, { groups: wanted, takesBatch: true });
    return stream;
  }

  /**
   * To be called when a batch was received. A stream that has room for one message takes the whole batch: its messages
   * are out of the kernel's buffer, and nowhere else.
   */
  beginBatch(): void {
    for (const [stream, open] of this.#open) open.takesBatch = !stream.isFull;
  }

  /** Gives a message that was sent to `group` to every stream that wants it. In a full one a `lost` event takes its place. */
  push(group: number, copy: () => ReceivedMessage): void {
    for (const [stream, { groups, takesBatch }] of this.#open) {
      if (groups !== undefined && !groups.has(group)) continue;
      const message = copy();
      if (takesBatch || !stream.isFull) stream.push(message);
      else pushLoss(stream, 1, "reader");
    }
  }

  /** Tells every stream that the kernel dropped `count` messages. */
  pushLoss(count: number): void {
    for (const stream of this.#open.keys()) pushLoss(stream, count, "kernel");
  }

  /** Ends them all: what is queued can still be read, unless there is an error. */
  end(error: unknown): void {
    this.#isOver = true;
    for (const stream of [...this.#open.keys()]) {
      if (error === undefined) stream.end();
      else stream.fail(error);
    }
  }
}

/** Losses in the same place that follow each other become one event. */
function pushLoss(stream: MessageStream, count: number, where: LostEvent["where"]): void {
  const { last } = stream;
  if (last?.type === "lost" && last.where === where) {
    stream.replaceLast({ ...last, count: (last.count ?? 0) + count });
  } else stream.push({ type: "lost", count, where });
}
