import type { DiagnosisCheck, ShownEvent } from "../library.ts";

/** When there is colour. */
export type ColourChoice = "auto" | "always" | "never";

const RESET = "\x1b[0m";
const DIM = "\x1b[2m";
const RED = "\x1b[31m";
const YELLOW = "\x1b[33m";
const CYAN = "\x1b[36m";
const GREEN = "\x1b[32m";
const WARNING = "\x1b[1;7;31m";

/**
 * Whether to paint: `auto` is on a terminal that understands it (TERM is not dumb), unless NO_COLOR is set and not empty
 * (no-color.org).
 */
export function wantsColour(
  choice: ColourChoice,
  terminal: boolean,
  variable: (name: "NO_COLOR" | "TERM") => string | undefined,
): boolean {
  if (choice !== "auto") return choice === "always";
  return terminal && (variable("NO_COLOR") ?? "") === "" && variable("TERM") !== "dumb";
}

/** A line in the colour of its event: starts of programs stand out, then failures, then changes; losses shout. */
export function paint(line: string, event: ShownEvent): string {
  const colour = colourOf(event);
  return colour === "" ? line : colour + line + RESET;
}

/** What a check comes to, in its colour. */
export function paintVerdict(text: string, verdict: DiagnosisCheck["verdict"]): string {
  const colour = { ok: GREEN, warn: YELLOW, fail: RED }[verdict];
  return colour + text + RESET;
}

function colourOf(event: ShownEvent): string {
  switch (event.type) {
    case "exec":
      return GREEN;
    case "fork":
      return DIM;
    case "exit":
      return event.signal !== null ? YELLOW : event.exitCode !== 0 ? RED : DIM;
    case "lost":
      return WARNING;
    default:
      return CYAN;
  }
}
