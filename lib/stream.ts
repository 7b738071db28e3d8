/**
 * Values as they come. `for await` reads them and closes the stream when the loop is left.
 *
 * The language's own `AsyncIterableIterator` takes a different number of type parameters from version to version of
 * TypeScript; this interface is the same in all of them.
 */
export interface AsyncStream<T> extends AsyncDisposable {
  /** Waits for the next value; done once the stream is closed and everything was read. */
  next(): Promise<IteratorResult<T, undefined>>;
  /** Closes the stream: `for await` calls this when the loop is left early. */
  return(): Promise<IteratorResult<T, undefined>>;
  /** Closes the stream, and discards what has not been read. */
  close(): Promise<void>;
  /** Resolves when the stream is closed; rejects with what it failed with, or the reason of its signal. */
  readonly closed: Promise<void>;
  /** The stream itself. */
  [Symbol.asyncIterator](): this;
}

/** How a {@linkcode BufferedStream} is filled. */
export interface BufferedStreamOptions {
  /** How many values make it full. Default: it never is. */
  readonly limit?: number | undefined;
  /** Fails the stream with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called when a reader waits for a value, and when a full stream has room again. */
  readonly onDemand?: (() => void) | undefined;
  /** Called once, when the stream is closed, by whomever. */
  readonly onClose?: (() => void) | undefined;
}

interface Waiter<T> {
  readonly resolve: (result: IteratorResult<T, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A queue with an async iterator: one side pushes values, the other reads them. Each value goes to one reader, in the
 * order in which they called `next`. A failure rejects one `next`; every other one ends.
 */
export class BufferedStream<T> implements AsyncStream<T> {
  readonly #options: BufferedStreamOptions;
  readonly #onAbort = (): void => this.fail(this.#options.signal!.reason);
  readonly #closing: Closing = new Closing();
  #items: T[] = [];
  #head = 0;
  /** Readers that wait; there are none while values are queued. */
  #waiters: Waiter<T>[] = [];
  #failure: { readonly error: unknown } | undefined;

  /** @throws The signal's reason, if it is already aborted. */
  constructor(options: BufferedStreamOptions = {}) {
    const { signal } = options;
    signal?.throwIfAborted();
    this.#options = options;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Whether as many values are queued as it may hold. */
  get isFull(): boolean {
    return this.#items.length - this.#head >= (this.#options.limit ?? Infinity);
  }

  /** Whether it takes no more values. */
  get isClosed(): boolean {
    return this.#closing.isOver;
  }

  /** Whether a reader waits for a value. */
  get isAwaited(): boolean {
    return this.#waiters.length > 0;
  }

  /** The last value in the queue, if it is not empty. */
  get last(): T | undefined {
    return this.#items.length > this.#head ? this.#items.at(-1) : undefined;
  }

  /** Resolves when it is closed; rejects with what it failed with, or the signal's reason. */
  get closed(): Promise<void> {
    return this.#closing.promise;
  }

  /** Hands a value to a waiting reader, or queues it, even in a full stream. */
  push(value: T): void {
    if (this.isClosed) return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#items.push(value);
    else waiter.resolve({ value, done: false });
  }

  /** Replaces {@linkcode last}. */
  replaceLast(value: T): void {
    if (this.last !== undefined) this.#items[this.#items.length - 1] = value;
  }

  /** The next value. Rejects once with what the stream failed with, or its signal's reason. */
  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#head < this.#items.length) return Promise.resolve({ value: this.#shift(), done: false });
    const failure = this.#failure;
    if (failure !== undefined) {
      this.#failure = undefined;
      return Promise.reject(failure.error);
    }
    if (this.isClosed) return Promise.resolve({ value: undefined, done: true });
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#waiters.push({ resolve, reject });
    this.#options.onDemand?.();
    return promise;
  }

  /** Closes it: `for await` calls this when the loop is left early. */
  async return(): Promise<IteratorResult<T, undefined>> {
    await this.close();
    return { value: undefined, done: true };
  }

  /** Closes it and discards what is queued. Readers that wait end. */
  close(): Promise<void> {
    this.#items = [];
    this.#head = 0;
    this.#failure = undefined;
    this.end();
    return Promise.resolve();
  }

  /** Takes no more values; those that are queued can still be read. */
  end(): void {
    this.#end(undefined);
  }

  /** Closes it with an error: what is queued is discarded, and one reader gets the error. */
  fail(error: unknown): void {
    if (this.isClosed) return;
    this.#items = [];
    this.#head = 0;
    this.#end({ error });
  }

  /** The stream itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As {@linkcode BufferedStream.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    if (this.isClosed) return;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#closing.end(failure?.error);
    if (failure !== undefined) {
      const first = waiters.shift();
      if (first === undefined) this.#failure = failure;
      else first.reject(failure.error);
    }
    for (const { resolve } of waiters) resolve({ value: undefined, done: true });
    this.#options.onClose?.();
  }

  #shift(): T {
    const wasFull = this.isFull;
    const value = this.#items[this.#head]!;
    this.#head++;
    if (this.#head === this.#items.length || this.#head > 1024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    if (wasFull) this.#options.onDemand?.();
    return value;
  }
}

/** A stream of what `toValues` returns for each value of `source`, in order. Closing it closes the source. */
export function flatMapStream<T, U>(
  source: AsyncStream<T>,
  toValues: (value: T) => readonly U[],
): AsyncStream<U> {
  let isReading = false;
  const read = async (): Promise<void> => {
    if (isReading) return;
    isReading = true;
    try {
      while (stream.isAwaited) {
        const { value, done } = await source.next();
        if (done === true) return stream.end();
        for (const made of toValues(value)) stream.push(made);
      }
    } catch (error) {
      stream.fail(error);
    } finally {
      isReading = false;
    }
  };
  const stream = new BufferedStream<U>({
    onDemand: () => void read(),
    onClose: () => void source.close(),
  });
  source.closed.catch((error) => stream.fail(error));
  return stream;
}

/** The end of something that was opened, and its `closed` promise, whose rejection never counts as unhandled. */
export class Closing {
  readonly #settled: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  readonly #listeners = new Set<(error: unknown) => boolean>();
  #isOver = false;
  #isObserved = false;

  constructor() {
    this.#settled.promise.catch(() => {});
  }

  /** Whether it has ended. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves at the end, or rejects with its error. */
  get promise(): Promise<void> {
    this.#isObserved = true;
    return this.#settled.promise;
  }

  /**
   * Calls `listener` at the end, with the error if there is one. It returns whether it passes the error on.
   *
   * @returns Removes the listener.
   */
  onEnd(listener: (error: unknown) => boolean): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Ends, with an error if there is one. Returns whether anybody gets the error. */
  end(error?: unknown): boolean {
    if (this.#isOver) return this.#isObserved;
    this.#isOver = true;
    if (error === undefined) this.#settled.resolve();
    else this.#settled.reject(error);
    for (const listener of this.#listeners) if (listener(error)) this.#isObserved = true;
    this.#listeners.clear();
    return this.#isObserved;
  }
}

/** Runs asynchronous calls one at a time, in the order in which they were made, as an async generator does. */
export class CallQueue {
  #last: Promise<unknown> | undefined;

  /** Whether a call is under way, so that another would have to wait for it. */
  get busy(): boolean {
    return this.#last !== undefined;
  }

  /** Calls once all previous calls have settled; at once if there are none. */
  run<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last === undefined ? call() : this.#last.then(() => call(), () => call());
    const settled = (): void => {
      if (this.#last === result) this.#last = undefined;
    };
    this.#last = result;
    result.then(settled, settled);
    return result;
  }
}
