/**
 * Names and command lines are written by whoever started the program, and end up on the terminal of whoever watches.
 * Here they lose every power over it: control characters (C0, DEL, C1), format characters (bidirectional overrides,
 * zero widths, tags), line and paragraph separators, and bytes that are not UTF-8 (lone surrogates).
 */
const PLAIN = /^[ -~]*$/;
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const EVERY_UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const EVERY_UNSAFE_OR_BACKSLASH = /[\\\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Whether a terminal shows `text` as it is, without obeying any of it. */
export function isSafe(text: string): boolean {
  return PLAIN.test(text) || !UNSAFE.test(text);
}

/** `text` for a terminal: what is unsafe as an escape, a backslash doubled, so that nothing is ambiguous. */
export function safeText(text: string): string {
  if (PLAIN.test(text) && !text.includes("\\")) return text;
  return text.replace(EVERY_UNSAFE_OR_BACKSLASH, escapeCharacter);
}

/** As {@linkcode safeText}, but backslashes stay: for sentences that are read and not pasted. */
export function safeSentence(text: string): string {
  return PLAIN.test(text) ? text : text.replace(EVERY_UNSAFE, escapeCharacter);
}

/** `value` as JSON in which a terminal finds nothing to obey either. It parses to the same text. */
export function safeJson(value: unknown): string {
  const json = JSON.stringify(value);
  if (PLAIN.test(json)) return json;
  return json.replace(EVERY_UNSAFE, (character) => {
    let escapes = "";
    for (let i = 0; i < character.length; i++) escapes += `\\u${hex(character.charCodeAt(i), 4)}`;
    return escapes;
  });
}

/** One character as bash's `$'…'` reads it: `\n`, `\x1b`, `\u202e`, and a raw byte as `\xff`. */
export function escapeCharacter(character: string): string {
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
