import { eastAsianWidth } from "get-east-asian-width";

/** Marks and other characters that take no column of their own. */
const ZERO = /^[\p{Mn}\p{Me}]$/u;
const ASCII = /^[ -~]*$/;

/** How many columns of a terminal safe text takes. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += characterWidth(character);
  return columns;
}

/** `text` in at most `columns` columns, with an ellipsis at the end where something was cut. */
export function cutToWidth(text: string, columns: number): string {
  if (columns <= 0) return "";
  // Marks take no column, but a thousand of them on one letter paint over the neighbours.
  const bounded = text.length > columns * 4 ? text.slice(0, columns * 4) : text;
  if (bounded === text && textWidth(text) <= columns) return text;
  let cut = "";
  let used = 0;
  for (const character of bounded) {
    used += characterWidth(character);
    if (used > columns - 1) break;
    // A pair that `slice` has cut in two is nothing that can be shown.
    if (character.length === 1 && character >= "\ud800" && character <= "\udfff") break;
    cut += character;
  }
  return `${cut}…`;
}

function characterWidth(character: string): number {
  return ZERO.test(character) ? 0 : eastAsianWidth(character.codePointAt(0)!);
}
