interface Timer {
  ref?(): void;
  unref?(): void;
}

interface DenoTimers {
  refTimer(id: number): void;
  unrefTimer(id: number): void;
}

/** Says whether a timer keeps the program alive, as it does at first. In Deno a timer may be a mere number. */
export function keepTimerAlive(timer: ReturnType<typeof setTimeout> | undefined, alive: boolean): void {
  if (timer === undefined) return;
  if (typeof timer === "object") (timer as Timer)[alive ? "ref" : "unref"]?.();
  else (globalThis as unknown as { Deno: DenoTimers }).Deno[alive ? "refTimer" : "unrefTimer"](timer);
}
