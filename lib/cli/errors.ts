import { environment } from "./runtime.ts";
import { safeSentence } from "./io/safe_text.ts";

/** The exit statuses of the command. */
export const EXIT: { readonly ok: 0; readonly failed: 1; readonly usage: 2 } = { ok: 0, failed: 1, usage: 2 };

/** An error as a user sees it: one sentence, or with `CONNECTOR_DEBUG=1` all that there is. */
export function errorText(error: unknown, debug: boolean = environment("CONNECTOR_DEBUG") === "1"): string {
  if (!(error instanceof Error)) return `cnctl: ${safeSentence(String(error))}\n`;
  const formatExplanation = `cnctl: ${safeSentence(error.message)}\n`;
  if (!debug) return formatExplanation;
  const lines = [formatExplanation];
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const stack = (at.stack ?? String(at)).split("\n").map((line) => safeSentence(line));
    lines.push(at === error ? "" : "caused by: ", stack.join("\n"), "\n");
  }
  return lines.join("");
}
