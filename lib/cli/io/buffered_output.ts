import type { Output } from "./output.ts";

/** How long a line may wait for others: nobody sees it, and under load one write takes many. */
const WAIT_MS = 10;
/** So many characters are written at once. */
const MOST = 32_768;

/** Writes what comes within a moment together. The order stays. */
export class BufferedOutput {
  readonly #output: Output;
  #text = "";
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<boolean> = Promise.resolve(true);
  /** A write has failed, or nobody reads any more: `#writing` says which. */
  #ended = false;
  readonly #onEnd: () => void;

  /** `onEnd` is called when nothing can be written any more. */
  constructor(output: Output, onEnd: () => void) {
    this.#output = output;
    this.#onEnd = onEnd;
  }

  /**
   * Takes lines; resolves at once as long as little waits to be written.
   *
   * @returns Whether somebody still reads, as far as is known.
   */
  write(text: string): Promise<boolean> {
    this.#text += text;
    if (this.#text.length >= MOST || this.#ended) return this.flush();
    this.#timer ??= setTimeout(() => this.flush().catch(() => {}), WAIT_MS); // the next call throws it again
    return Promise.resolve(true);
  }

  /** Writes what waits, and resolves once all is out. */
  flush(): Promise<boolean> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async (reads) => {
      const text = this.#text;
      this.#text = "";
      if (!reads || text === "") return reads;
      return await this.#output.write(text);
    });
    this.#writing.then((reads) => reads || this.#end(), () => this.#end());
    return this.#writing;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
  }
}
