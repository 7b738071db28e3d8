import type { ExitHook } from "./libc.ts";

type Listen = (type: string, listener: () => void) => void;

interface Globals {
  readonly Deno?: unknown;
  readonly process: { readonly on: Listen; readonly off: Listen };
  readonly addEventListener: Listen;
  readonly removeEventListener: Listen;
}

const hooks = new Set<ExitHook>();
/** The hooks that already ran because an uncaught error may end the program. */
const left = new Set<ExitHook>();

/**
 * Registers something to do at the end of the program, however it ends: by itself, by `process.exit`, by an uncaught
 * error. A signal that nobody handles and SIGKILL leave no time for anything.
 *
 * @returns A function that takes the registration back.
 */
export function onExit(hook: ExitHook): () => void {
  if (hooks.size === 0) listen(true);
  hooks.add(hook);
  return () => {
    left.delete(hook);
    if (hooks.delete(hook) && hooks.size === 0) listen(false);
  };
}

/** Begins or ends listening for the program's end: nothing stays registered of a library that does nothing any more. */
function listen(begin: boolean): void {
  const globals = globalThis as unknown as Globals;
  if (globals.Deno === undefined) {
    globals.process[begin ? "on" : "off"]("exit", runAll);
    return;
  }
  const change = globals[begin ? "addEventListener" : "removeEventListener"].bind(globalThis);
  change("unload", runAll);
  change("error", leaveForNow);
  change("unhandledrejection", leaveForNow);
}

function runAll(): void {
  for (const hook of hooks) if (!left.has(hook)) hook.leave();
}

/**
 * Deno ends at once after an uncaught error that no listener prevents, without "unload". Whether another listener will
 * prevent it cannot be known here: a program that lives on gets a turn of its event loop.
 */
function leaveForNow(): void {
  if (left.size === 0) setTimeout(stayAll, 0);
  for (const hook of hooks) {
    if (left.has(hook)) continue;
    left.add(hook);
    hook.leave();
  }
}

function stayAll(): void {
  const all = [...left];
  left.clear();
  for (const hook of all) hook.stay?.();
}
