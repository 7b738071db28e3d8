/** What terminals send for keys without a character. */
const NAMES: Readonly<Record<string, string>> = {
  "\x1b[A": "up",
  "\x1bOA": "up",
  "\x1b[B": "down",
  "\x1bOB": "down",
  "\x1b[C": "right",
  "\x1bOC": "right",
  "\x1b[D": "left",
  "\x1bOD": "left",
  "\x1b[5~": "page up",
  "\x1b[6~": "page down",
  "\x1b[H": "home",
  "\x1b[1~": "home",
  "\x1bOH": "home",
  "\x1b[F": "end",
  "\x1b[4~": "end",
  "\x1bOF": "end",
  "\x1b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x03": "ctrl-c",
  "\x1a": "ctrl-z",
  "\x0c": "ctrl-l",
};

/** A sequence that begins with escape, or a character. */
// deno-lint-ignore no-control-regex
const KEY = /\x1b\[[\d;]*[\x40-\x7e]|\x1bO[A-Z]|[\s\S]/gu;

/** The keys in what a terminal has sent: names as above, or the character. Unknown sequences are left out. */
export function parseKeys(text: string): string[] {
  return (text.match(KEY) ?? [])
    .map((sequence) => NAMES[sequence] ?? sequence)
    .filter((key) => !key.startsWith("\x1b"));
}

/** A line of text that the user types. */
export class LineInput {
  text: string;

  /** It begins with `text`. */
  constructor(text: string) {
    this.text = text;
  }

  /** Takes a key; returns whether the line is done, given up or still open. */
  take(key: string): "open" | "done" | "cancelled" {
    if (key === "enter") return "done";
    if (key === "escape") return "cancelled";
    if (key === "backspace") this.text = [...this.text].slice(0, -1).join("");
    else if ([...key].length === 1 && key >= " ") this.text += key;
    return "open";
  }
}
