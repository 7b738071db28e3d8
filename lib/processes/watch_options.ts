import type { ProcFilter } from "./event_filter.ts";

/** How a watch of process events is opened, and what it wants. */
export interface ProcWatchOptions extends ProcFilter {
  /** Ends the watch; the iteration throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * How long an event may wait under load, in milliseconds, so that one look fetches many. Default 2. 0 looks after
   * every wake-up at once, at several times the cost. A quiet machine's events never wait.
   */
  readonly latencyMs?: number | undefined;
  /**
   * The receive buffer to ask for, in bytes. Default 32 MiB, never more than an eighth of the available memory. A
   * process event takes about 400 of them. What was granted is in `stats()`.
   */
  readonly receiveBufferBytes?: number | undefined;
  /**
   * After so long a silence the kernel is asked for a sign of life, in milliseconds: other programs and some kernels
   * can end a subscription without a word. Without an answer it is renewed, and a `lost` event of unknown count tells.
   * Default 60000; 0 never asks.
   */
  readonly heartbeatMs?: number | undefined;
}

/** The receive buffer that is asked for where nothing else is said. */
export const DEFAULT_RECEIVE_BUFFER_BYTES: number = 32 << 20;
const MOST_MS = 2 ** 31 - 1;

/** The times in the options, checked, with their defaults. `action` completes "Cannot …" in the errors. */
export function checkTimes(
  { latencyMs = 2, heartbeatMs = 60_000 }: ProcWatchOptions,
  action: string,
): { readonly latencyMs: number; readonly heartbeatMs: number } {
  for (
    const [name, value, most] of [["latencyMs", latencyMs, 1000], [
      "heartbeatMs",
      heartbeatMs,
      MOST_MS,
    ]] as const
  ) {
    if (value >= 0 && value <= most) continue;
    throw new RangeError(`Cannot ${action}: ${name} must be 0 to ${most}, and is ${value}`);
  }
  return { latencyMs, heartbeatMs };
}
