/** One character of the text, any one, any number of them, or any number of them and of separators. */
type Token = string | typeof ONE | typeof MANY | typeof ACROSS;
const ONE = 0;
const MANY = 1;
const ACROSS = 2;

/** Whether a text is a pattern: it has a `*` or a `?`. */
export function isGlob(text: string): boolean {
  return text.includes("*") || text.includes("?");
}

/**
 * A pattern as a test of whole texts: `*` is any text, `?` any one character, and a backslash takes the character
 * behind it as it is. With a `separator`, `*` and `?` do not reach across it, and `**` does.
 *
 * All ways to match are followed at once, so the time is that of the text's length times the pattern's, whatever is in
 * either: names are untrusted.
 */
export function globMatcher(pattern: string, separator?: string): (text: string) => boolean {
  const tokens = tokenize(pattern);
  const last = tokens.length;
  let now = new Uint8Array(last + 1);
  let next = new Uint8Array(last + 1);
  return (text) => {
    now.fill(0);
    now[0] = 1;
    skipRuns(tokens, now);
    for (const character of text) {
      next.fill(0);
      let alive = false;
      for (let i = 0; i < last; i++) {
        if (now[i] === 0) continue;
        const token = tokens[i]!;
        if (token === ACROSS || (token === MANY && character !== separator)) next[i] = 1;
        else if (token === character || (token === ONE && character !== separator)) next[i + 1] = 1;
        else continue;
        alive = true;
      }
      if (!alive) return false;
      skipRuns(tokens, next);
      [now, next] = [next, now];
    }
    return now[last] === 1;
  };
}

/** How many characters a text has at least that matches. */
export function globMinimum(pattern: string): number {
  return tokenize(pattern).filter((token) => token !== MANY && token !== ACROSS).length;
}

function tokenize(pattern: string): Token[] {
  const tokens: Token[] = [];
  let escaped = false;
  for (const character of pattern) {
    const before = tokens.at(-1);
    if (escaped) {
      tokens.push(character);
      escaped = false;
    } else if (character === "\\") {
      escaped = true;
    } else if (character === "*") {
      if (before === MANY || before === ACROSS) tokens[tokens.length - 1] = ACROSS;
      else tokens.push(MANY);
    } else {
      tokens.push(character === "?" ? ONE : character);
    }
  }
  if (escaped) tokens.push("\\");
  return tokens;
}

/** A run can be empty. */
function skipRuns(tokens: readonly Token[], states: Uint8Array): void {
  for (let i = 0; i < tokens.length; i++) {
    if (states[i] === 1 && (tokens[i] === MANY || tokens[i] === ACROSS)) states[i + 1] = 1;
  }
}
