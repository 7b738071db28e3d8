import type { Leaver } from "./libc.ts";

type Listen = (type: string, listener: () => void) => void;

const leavers = new Set<Leaver>();
let listening = false;

/**
 * Registers something to do at the end of the program, however it ends: by itself, by `process.exit`, by an uncaught
 * error. A signal that nobody handles and SIGKILL leave no time for anything.
 *
 * @returns A function that takes the registration back.
 */
export function atLeaving(leaver: Leaver): () => void {
  if (!listening) {
    listening = true;
    listen();
  }
  leavers.add(leaver);
  return () => leavers.delete(leaver);
}

function listen(): void {
  const globals = globalThis as unknown as {
    Deno?: unknown;
    process: { on: Listen };
    addEventListener: Listen;
  };
  if (globals.Deno === undefined) {
    globals.process.on("exit", leaveAll);
    return;
  }
  addEventListener("unload", leaveAll);
  // Deno ends at once after an uncaught error that no listener prevents, without "unload". Whether another listener
  // will prevent it cannot be known here: a program that lives on gets a turn of its event loop.
  const leaveForNow = (): void => {
    leaveAll();
    setTimeout(() => {
      for (const leaver of leavers) leaver.stay?.();
    }, 0);
  };
  addEventListener("error", leaveForNow);
  addEventListener("unhandledrejection", leaveForNow);
}

function leaveAll(): void {
  for (const leaver of leavers) leaver.leave();
}
