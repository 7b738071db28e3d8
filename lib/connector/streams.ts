import type { Groups } from "./writer.ts";
import { MessageStream } from "./message_stream.ts";
import type { MessagesOptions } from "./options.ts";
import type { LostMessages, ReceivedMessage } from "./sender.ts";

const DEFAULT_LIMIT = 1024;

/** A stream of new messages: what one reader iterates over. */
type Stream = MessageStream<ReceivedMessage | LostMessages>;

/** The streams that are open on a connector, each in the groups that it wants. */
export class Streams implements Iterable<Stream> {
  readonly #groups: Groups;
  readonly #onDemand: () => void;
  readonly #open = new Set<Stream>();
  #ended = false;

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
    for (const stream of this.#open) if (!stream.full) return true;
    return false;
  }

  /** Opens one: it has what arrives from now on. */
  open({ groups, signal, limit = DEFAULT_LIMIT }: MessagesOptions): Stream {
    if (!(limit >= 1)) throw new RangeError(`Cannot read messages: limit must be 1 or more, and is ${limit}`);
    const joined: number[] = [];
    const wanted = groups === undefined ? undefined : new Set(groups);
    const stream: Stream = new MessageStream(
      limit,
      (message) => wanted === undefined || wanted.has(message.from.group),
      {
        onDemand: this.#onDemand,
        onClose: () => {
          this.#open.delete(stream);
          // At the end all groups are left with the socket.
          for (const group of joined) if (!this.#ended) this.#groups.leave(group);
        },
      },
      signal,
    );
    try {
      for (const group of wanted ?? []) {
        this.#groups.join(group);
        joined.push(group);
      }
    } catch (error) {
      stream.close();
      throw error;
    }
    this.#open.add(stream);
    return stream;
  }

  /** Notes in each that messages were lost before it. */
  lose(count: number): void {
    for (const stream of this.#open) stream.lose(count, "kernel");
  }

  /** Ends them all: with an error where it is one, else in peace, and what is in them can still be read. */
  end(error: unknown): void {
    this.#ended = true;
    for (const stream of [...this.#open]) {
      if (error === undefined) stream.close();
      else stream.fail(error);
    }
  }

  [Symbol.iterator](): Iterator<Stream> {
    return this.#open.values();
  }
}
