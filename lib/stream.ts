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
