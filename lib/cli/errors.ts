import { environment } from "./runtime.ts";
import { safeSentence } from "../wire/escape.ts";

/** The exit statuses of the command. */
export const EXIT: { readonly ok: 0; readonly failed: 1; readonly usage: 2 } = { ok: 0, failed: 1, usage: 2 };

/** An error as shown to the user: one sentence, or with `CONNECTOR_DEBUG=1` the stack and causes as well. */
export function errorText(error: unknown, debug: boolean = environment("CONNECTOR_DEBUG") === "1"): string {
  // What was thrown first says why; that something could not be closed then follows from it.
  const { suppressed } = Object(error) as { readonly suppressed?: unknown };
  if (error instanceof Error && error.name === "SuppressedError" && suppressed !== undefined) {
    return errorText(suppressed, debug);
  }
  if (!(error instanceof Error)) return `cnctl: ${safeSentence(String(error))}\n`;
  const message = `cnctl: ${safeSentence(error.message)}\n`;
  if (!debug) return message;
  const lines = [message];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const stack = (at.stack ?? String(at)).split("\n").map((line) => safeSentence(line));
    lines.push(at === error ? "" : "caused by: ", stack.join("\n"), "\n");
  }
  return lines.join("");
}
