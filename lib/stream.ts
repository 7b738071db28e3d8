/**
 * Values as they come. `for await` reads them and closes the stream when the loop is left.
 *
 * The language's own `AsyncIterableIterator` takes a different number of type parameters from version to version of
 * TypeScript, and this one the same in all of them.
 */
export interface AsyncStream<T> extends AsyncDisposable {
  /** Waits for the next value; done once the stream is closed and everything was read. */
  next(): Promise<IteratorResult<T, undefined>>;
  /** Closes the stream. */
  return(): Promise<IteratorResult<T, undefined>>;
  /** The stream itself. */
  [Symbol.asyncIterator](): this;
}

/**
 * Runs asynchronous calls one after the other, in the order in which they were made, as an async generator does with
 * its `next`: whoever asked first is answered first, and two never read at once.
 */
export class CallQueue {
  #last: Promise<unknown> | undefined;

  /** Whether a call is under way, so that another would have to wait for it. */
  get busy(): boolean {
    return this.#last !== undefined;
  }

  /** Calls when all calls before have settled: now, where there are none. */
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
