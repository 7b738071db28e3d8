/** Messages or events were lost at this place of the stream: the same record in every stream. */
export interface LostEvent {
  /** Distinguishes it from the other elements of the stream. */
  readonly type: "lost";
  /** How many; undefined if the kernel cannot say. */
  readonly count: number | undefined;
  /**
   * `"kernel"`: the socket's receive buffer was full, and the kernel dropped everything that came, replies too.
   * `"reader"`: this iteration was too slow while callbacks or requests of the same connector needed the socket to be
   * read.
   */
  readonly where: "kernel" | "reader";
}
