import type { LostMessages, ReceivedMessage } from "./sender.ts";
import { type AsyncStream, CallQueue } from "../stream.ts";

/** What an inbox asks of the connector that fills it. */
export interface InboxHooks {
  /** There is room again, or somebody waits: receive. */
  readonly onDemand: () => void;
  /** Called once, when the inbox is closed from whatever side. */
  readonly onClose: () => void;
}

/**
 * Messages on their way to one reader: an async iterator that holds up to a limit, in order. What a full inbox cannot
 * take is counted, and the count stands in the stream where the messages would have.
 */
export class MessageStream<T extends ReceivedMessage | LostMessages> implements AsyncStream<T> {
  readonly #limit: number;
  readonly #wants: (message: ReceivedMessage) => boolean;
  readonly #hooks: InboxHooks;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => this.fail(this.#signal!.reason);
  #items: T[] = [];
  #head = 0;
  readonly #reads = new CallQueue();
  #wake: (() => void) | undefined;
  #closed = false;
  #failure: { readonly error: unknown } | undefined;

  /** `wants` says which messages are for this reader; a `signal` that is aborted already throws. */
  constructor(
    limit: number,
    wants: (message: ReceivedMessage) => boolean,
    hooks: InboxHooks,
    signal: AbortSignal | undefined,
  ) {
    signal?.throwIfAborted();
    this.#limit = limit;
    this.#wants = wants;
    this.#hooks = hooks;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether it takes no more until it is read. */
  get full(): boolean {
    return this.#items.length - this.#head >= this.#limit;
  }

  /** Whether it takes nothing any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Offers a message. Answers whether it was for this reader, also where there was no room for it. */
  offer(message: ReceivedMessage): boolean {
    if (this.#closed || !this.#wants(message)) return false;
    if (this.full) this.lose(1, "reader");
    else this.#put(message as T);
    return true;
  }

  /** Notes a loss at this place of the stream; losses that follow each other become one. */
  lose(count: number, where: LostMessages["where"]): void {
    if (this.#closed) return;
    const last = this.#items.length > this.#head ? this.#items.at(-1) : undefined;
    if (last?.type === "lost" && last.where === where) {
      this.#items[this.#items.length - 1] = { ...last, count: last.count + count };
    } else {
      this.#put({ type: "lost", count, where } as T);
    }
  }

  /** The next message, to whoever asked first. Rejects once with what the connector failed with, or the signal's reason. */
  next(): Promise<IteratorResult<T, undefined>> {
    return this.#reads.run(() => this.#read());
  }

  async #read(): Promise<IteratorResult<T, undefined>> {
    while (true) {
      if (this.#head < this.#items.length) return { value: this.#shift(), done: false };
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure !== undefined) throw failure.error;
      if (this.#closed) return { value: undefined, done: true };
      const look = new Promise<void>((resolve) => this.#wake = resolve);
      this.#hooks.onDemand();
      await look;
    }
  }

  /** Closes it: `for await` calls this when it is left early. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.#items = [];
    this.#head = 0;
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Takes nothing any more; what is in it can still be read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#hooks.onClose();
    this.#look();
  }

  /** Ends it with an error, at once: what is in it is thrown away. */
  fail(error: unknown): void {
    if (this.#closed) return;
    this.#items = [];
    this.#head = 0;
    this.#failure = { error };
    this.close();
  }

  /** The inbox itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As leaving the iteration. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #put(item: T): void {
    this.#items.push(item);
    this.#look();
  }

  #shift(): T {
    const wasFull = this.full;
    const item = this.#items[this.#head]!;
    this.#head++;
    if (this.#head === this.#items.length || this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (wasFull) this.#hooks.onDemand();
    return item;
  }

  #look(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
