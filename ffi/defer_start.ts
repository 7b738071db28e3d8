/**
 * Calls `start` when the code that runs now is done: at once in Deno, where the first timer of any kind takes 4 ms and
 * the thread that waits next to nothing, in the next turn of the event loop elsewhere, where it is the other way round.
 */
export function deferStart(start: () => void): void {
  if ("Deno" in globalThis) queueMicrotask(start);
  else setImmediate(start);
}
