import type { DiagnosisCheck, ProcessEvent } from "../../../mod.ts";

/** The values of `--color`. */
export type ColourChoice = "auto" | "always" | "never";

const RESET = "\x1b[0m";
const DIM = "\x1b[2m";
const RED = "\x1b[31m";
const YELLOW = "\x1b[33m";
const CYAN = "\x1b[36m";
const GREEN = "\x1b[32m";
const WARNING = "\x1b[1;7;31m";

/**
 * Whether to use colour. `auto` means on a terminal, unless TERM is dumb or NO_COLOR is set and not empty
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

/** A line in the colour of its event: exec stands out, then failures, then changes; losses most of all. */
export function paint(line: string, event: ProcessEvent): string {
  const colour = colourOf(event);
  return colour === "" ? line : colour + line + RESET;
}

/** `text` in the colour of a verdict. */
export function paintVerdict(text: string, verdict: DiagnosisCheck["verdict"]): string {
  const colour = { ok: GREEN, warn: YELLOW, fail: RED }[verdict];
  return colour + text + RESET;
}

function colourOf(event: ProcessEvent): string {
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

/** How text is shown on a screen. */
export type Style = "title" | "selected" | "started" | "failed" | "dim" | "warning";

const STYLES: Readonly<Record<Style, string>> = {
  title: "\x1b[7m",
  selected: "\x1b[7m",
  started: GREEN,
  failed: RED,
  dim: DIM,
  warning: WARNING,
};

/** `text` in a style. */
export function paintStyle(text: string, style: Style): string {
  return STYLES[style] + text + RESET;
}
