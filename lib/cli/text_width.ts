/** Marks and other characters that take no column of their own. */
const ZERO = /^[\p{Mn}\p{Me}]$/u;
const ASCII = /^[ -~]*$/;

/** Ranges of characters that take two columns (East Asian Width W and F, generously), in order. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23f3],
  [0x25fd, 0x25fe],
  [0x2614, 0x27bf],
  [0x2b1b, 0x2b55],
  [0x2e80, 0x303e],
  [0x3041, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18cff],
  [0x1aff0, 0x1b2ff],
  [0x1d300, 0x1d37f],
  [0x1f000, 0x1faff],
  [0x20000, 0x3fffd],
];

/** How many columns of a terminal safe text takes; where that is open, the larger number. */
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
  const code = character.codePointAt(0)!;
  if (code < 0x300) return 1;
  if (ZERO.test(character)) return 0;
  for (const [from, to] of WIDE) {
    if (code < from) return 1;
    if (code <= to) return 2;
  }
  return 1;
}
