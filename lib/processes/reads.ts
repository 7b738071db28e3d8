import { type AsyncStream, CallQueue } from "../stream.ts";
import type { ProcessEvent } from "./event.ts";

/**
 * What readers take events from, one by one or in batches, in the order in which they ask. One of them at a time waits
 * for more.
 */
export class EventReads<Event extends ProcessEvent> {
  readonly #fetch: () => Promise<readonly Event[] | undefined>;
  readonly #calls = new CallQueue();
  #batch: readonly Event[] = [];
  #index = 0;
  /** Nothing more is handed out. */
  ended = false;
  /** Events that were handed out, `lost` events not counted. */
  delivered = 0;

  /** `fetch` waits for the next batch, which is not empty; undefined at the end. */
  constructor(fetch: () => Promise<readonly Event[] | undefined>) {
    this.#fetch = fetch;
  }

  /** The next event. */
  next(): Promise<IteratorResult<Event, undefined>> {
    // A promise that is there already costs half of what an asynchronous function does.
    if (this.#hasSome && !this.#calls.busy) return Promise.resolve(this.#handOut());
    return this.#calls.run(async () => {
      await this.#refill();
      // It may have ended since there were some.
      return this.#hasSome ? this.#handOut() : { value: undefined, done: true };
    });
  }

  /** The same as batches; `close` is called where the iteration is left. */
  batches(close: () => void): AsyncStream<readonly Event[]> {
    const stream: AsyncStream<readonly Event[]> = {
      next: () => this.#nextBatch(),
      return() {
        close();
        return Promise.resolve({ value: undefined, done: true });
      },
      [Symbol.asyncIterator]: () => stream,
      async [Symbol.asyncDispose]() {
        await stream.return();
      },
    };
    return stream;
  }

  /** What is left of the batch, or the next one. */
  #nextBatch(): Promise<IteratorResult<readonly Event[], undefined>> {
    return this.#calls.run(async () => {
      await this.#refill();
      if (!this.#hasSome) return { value: undefined, done: true };
      const value = this.#index === 0 ? this.#batch : this.#batch.slice(this.#index);
      this.#put([]);
      for (const { type } of value) if (type !== "lost") this.delivered++;
      return { value, done: false };
    });
  }

  /** Throws away what nobody has taken yet, and what is on its way. */
  end(): void {
    this.ended = true;
    this.#put([]);
  }

  get #hasSome(): boolean {
    return this.#index < this.#batch.length;
  }

  async #refill(): Promise<void> {
    if (this.#hasSome) return;
    const batch = await this.#fetch() ?? [];
    if (!this.ended) this.#put(batch);
  }

  #put(batch: readonly Event[]): void {
    this.#batch = batch;
    this.#index = 0;
  }

  #handOut(): IteratorYieldResult<Event> {
    const value = this.#batch[this.#index++]!;
    if (value.type !== "lost") this.delivered++;
    return { value, done: false };
  }
}
