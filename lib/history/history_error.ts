/** A database of history that cannot be read or written, in a sentence that says why and what to do. */
export class HistoryError extends Error {
  /** Always `"HistoryError"`. */
  override readonly name = "HistoryError";
}
