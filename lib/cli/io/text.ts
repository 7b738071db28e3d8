import { eastAsianWidth } from "get-east-asian-width";

const PLAIN = /^[ -~]*$/;

/** Combining marks, which take no column of their own. */
const ZERO = /^[\p{Mn}\p{Me}]$/u;

/** How many columns of a terminal safe text takes. */
export function textWidth(text: string): number {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += characterWidth(character);
  return columns;
}

/** `text` cut to at most `columns` columns; if it was cut, it ends with an ellipsis. */
export function cutToWidth(text: string, columns: number): string {
  if (columns <= 0) return "";
  // Marks take no column, but a thousand of them on one letter would cover the lines around it.
  const bounded = text.length > columns * 4 ? text.slice(0, columns * 4) : text;
  if (bounded === text && textWidth(text) <= columns) return text;
  let cut = "";
  let used = 0;
  for (const character of bounded) {
    used += characterWidth(character);
    if (used > columns - 1) break;
    // Half of a surrogate pair that `slice` has split cannot be printed.
    if (character.length === 1 && character >= "\ud800" && character <= "\udfff") break;
    cut += character;
  }
  return `${cut}…`;
}

/** As `padEnd`, but in columns of a terminal. */
export function padEndToWidth(text: string, columns: number): string {
  const width = textWidth(text);
  return width >= columns ? text : text + spaces(columns - width);
}

/** As `padEnd` and `padStart` of text in which each character takes one column, but several times as fast. */
export function padPlainEnd(text: string, columns: number): string {
  return text.length >= columns ? text : text + spaces(columns - text.length);
}

/** See {@linkcode padPlainEnd}. */
export function padPlainStart(text: string, columns: number): string {
  return text.length >= columns ? text : spaces(columns - text.length) + text;
}

/** Runs of spaces by their length. */
const SPACES: readonly string[] = Array.from({ length: 64 }, (_, length) => " ".repeat(length));

function spaces(count: number): string {
  return SPACES[count] ?? " ".repeat(count);
}

/** Wraps `text` between words at `columns`; a longer word gets a line of its own. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && textWidth(line) + 1 + textWidth(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines;
}

function characterWidth(character: string): number {
  const code = character.codePointAt(0)!;
  if (code >= 0x20 && code < 0x7f) return 1;
  return ZERO.test(character) ? 0 : eastAsianWidth(code);
}
