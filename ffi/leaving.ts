import type { Leaver } from "./libc.ts";

type Listen = (type: string, listener: () => void) => void;

interface Globals {
  readonly Deno?: unknown;
  readonly process: { readonly on: Listen; readonly off: Listen };
  readonly addEventListener: Listen;
  readonly removeEventListener: Listen;
}

const leavers = new Set<Leaver>();
/** Those that were told of an end that an error announces and that may not come. */
const left = new Set<Leaver>();

/**
 * Registers something to do at the end of the program, however it ends: by itself, by `process.exit`, by an uncaught
 * error. A signal that nobody handles and SIGKILL leave no time for anything.
 *
 * @returns A function that takes the registration back.
 */
export function atLeaving(leaver: Leaver): () => void {
  if (leavers.size === 0) listen(true);
  leavers.add(leaver);
  return () => {
    left.delete(leaver);
    if (leavers.delete(leaver) && leavers.size === 0) listen(false);
  };
}

/** Begins or ends listening for the program's end: nothing stays registered of a library that does nothing any more. */
function listen(begin: boolean): void {
  const globals = globalThis as unknown as Globals;
  if (globals.Deno === undefined) {
    globals.process[begin ? "on" : "off"]("exit", leaveAll);
    return;
  }
  const change = globals[begin ? "addEventListener" : "removeEventListener"].bind(globalThis);
  change("unload", leaveAll);
  change("error", leaveForNow);
  change("unhandledrejection", leaveForNow);
}

function leaveAll(): void {
  for (const leaver of leavers) if (!left.has(leaver)) leaver.leave();
}

/**
 * Deno ends at once after an uncaught error that no listener prevents, without "unload". Whether another listener will
 * prevent it cannot be known here: a program that lives on gets a turn of its event loop.
 */
function leaveForNow(): void {
  if (left.size === 0) setTimeout(stayAll, 0);
  for (const leaver of leavers) {
    if (left.has(leaver)) continue;
    left.add(leaver);
    leaver.leave();
  }
}

function stayAll(): void {
  const all = [...left];
  left.clear();
  for (const leaver of all) leaver.stay?.();
}
