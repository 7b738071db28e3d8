import { escapeCharacter, isSafe } from "./safe_text.ts";

/** What no shell treats specially in the middle of a word. */
const BARE = /^[\w@%+:,./=^-]+$/;
const BARE_ASSIGNMENT = /^\w+=/;
const encoder = new TextEncoder();
const EVERY_TO_ESCAPE = /[\\'\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * A command line as it could be typed again: words are quoted where they must be, and only there. What a terminal
 * would obey becomes `$'\x1b'`, byte by byte, which bash, zsh and ksh read back to the same bytes in every locale.
 *
 * @param limit Stops once there are so many characters: a command line may have megabytes.
 */
export function shellQuote(words: readonly string[], limit: number = Infinity): string {
  let line = "";
  for (let i = 0; i < words.length && line.length < limit; i++) {
    if (i > 0) line += " ";
    const room = limit - line.length;
    const word = words[i]!;
    line += quoteWord(word.length > room ? word.slice(0, room) : word, i === 0);
  }
  return line;
}

function quoteWord(word: string, first: boolean): string {
  // A first word such as A=1 would be an assignment.
  if (BARE.test(word) && !(first && BARE_ASSIGNMENT.test(word))) return word;
  if (!isSafe(word)) return `$'${word.replace(EVERY_TO_ESCAPE, escapeBytes)}'`;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** As {@linkcode escapeCharacter}, but what is not ASCII as its bytes: `\u202e` would be what the locale makes of it. */
function escapeBytes(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x80 || (code >= 0xd800 && code < 0xe000)) return escapeCharacter(character);
  return [...encoder.encode(character)].map((byte) => `\\x${byte.toString(16)}`).join("");
}
