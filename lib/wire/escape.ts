const PLAIN = /^[ -~]*$/;
/**
 * Any program chooses its own name and arguments, and they are printed on the terminal of whoever watches it. These
 * characters could control that terminal or hide text on it: control characters (C0, DEL, C1), format characters
 * (bidirectional overrides, zero widths, tags), line and paragraph separators, and bytes that are not UTF-8 (lone
 * surrogates).
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const EVERY_UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const EVERY_UNSAFE_OR_BACKSLASH = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Whether a terminal prints `text` as it is, without interpreting any of it. */
function isSafe(text: string): boolean {
  return PLAIN.test(text) || !UNSAFE.test(text);
}

/** `text` for a terminal: unsafe characters are escaped and backslashes doubled, so that nothing is ambiguous. */
export function safeText(text: string): string {
  if (PLAIN.test(text) && !text.includes("\\")) return text;
  return text.replace(EVERY_UNSAFE_OR_BACKSLASH, escapeCharacter);
}

/** As {@linkcode safeText}, but backslashes stay: for sentences that are read, not pasted. */
export function safeSentence(text: string): string {
  return PLAIN.test(text) ? text : text.replace(EVERY_UNSAFE, escapeCharacter);
}

/** JSON with every unsafe character escaped. It still parses to the same text. */
export function safeJson(json: string): string {
  if (PLAIN.test(json)) return json;
  return json.replace(EVERY_UNSAFE, (character) => {
    let escapes = "";
    for (let i = 0; i < character.length; i++) escapes += `\\u${hex(character.charCodeAt(i), 4)}`;
    return escapes;
  });
}

/** One character as bash's `$'…'` reads it: `\n`, `\x1b`, `\u202e`, and a raw byte as `\xff`. */
function escapeCharacter(character: string): string {
  const code = character.codePointAt(0)!;
  if (character === "\\" || character === "'") return `\\${character}`;
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  if (character === "\r") return "\\r";
  if (code < 0x80) return `\\x${hex(code, 2)}`;
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${hex(code - 0xdc00, 2)}`; // a byte that is not UTF-8
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, "0");
}

/** Words without a character that is special to a shell. */
const BARE = /^[\w@%+:,./=^-]+$/;
const BARE_ASSIGNMENT = /^\w+=/;
const encoder = new TextEncoder();
const EVERY_TO_ESCAPE = /[\\'\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * A command line that can be pasted into a shell. Words are quoted only where necessary. Unsafe characters become
 * `$'\x1b'`, byte by byte, which bash, zsh and ksh read back as the same bytes in every locale.
 *
 * @param limit Stops after this many characters: a command line may be megabytes long.
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

/** As {@linkcode escapeCharacter}, but non-ASCII as bytes: how a shell reads `\u202e` depends on the locale. */
function escapeBytes(character: string): string {
  const code = character.codePointAt(0)!;
  if (code < 0x80 || (code >= 0xd800 && code < 0xe000)) return escapeCharacter(character);
  return [...encoder.encode(character)].map((byte) => `\\x${byte.toString(16)}`).join("");
}
