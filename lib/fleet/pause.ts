/** A wait that can be ended. */
export class Pause {
  #end: (() => void) | undefined;
  #ended = false;

  /** Waits up to a time; returns at once when it has been ended since the last wait. */
  async wait(ms: number): Promise<void> {
    if (!this.#ended) {
      await new Promise<void>((resolve) => {
        const timer = ms === Infinity ? undefined : setTimeout(resolve, ms);
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#end = undefined;
    this.#ended = false;
  }

  /** Ends the wait, or the next one. */
  end(): void {
    this.#ended = true;
    this.#end?.();
  }
}
