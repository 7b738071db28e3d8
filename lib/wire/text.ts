/**
 * Text from the kernel is bytes: mostly ASCII, often UTF-8, sometimes neither. Bytes that are not UTF-8 become lone
 * surrogates U+DC80 to U+DCFF (byte 0x80 is U+DC80), so nothing is lost: `JSON.stringify` writes them as `\udcXX` and
 * {@linkcode encodeText} gives the same bytes back.
 */
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The text in `bytes[at, end)`, without loss. */
export function decodeText(bytes: Uint8Array, at: number = 0, end: number = bytes.length): string {
  // Names, by far the most frequent text, are short ASCII.
  if (end - at < 16 && isAscii(bytes, at, end)) return shortAscii(bytes, at, end - at);
  const part = bytes.subarray(at, end);
  try {
    return strict.decode(part);
  } catch {
    return decodeBroken(part);
  }
}

function isAscii(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = at; i < end; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}

/**
 * Up to 15 characters. One call with all of them takes a fraction of the time of every other way, and gives one flat
 * string: one that was put together letter by letter may hold on to its parts, ten times its size.
 */
// deno-fmt-ignore
function shortAscii(b: Uint8Array, at: number, length: number): string {
  const F = String.fromCharCode;
  switch (length) {
    case 0: return "";
    case 1: return F(b[at]!);
    case 2: return F(b[at]!, b[at + 1]!);
    case 3: return F(b[at]!, b[at + 1]!, b[at + 2]!);
    case 4: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!);
    case 5: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!);
    case 6: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!);
    case 7: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!);
    case 8: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!);
    case 9: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!);
    case 10: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!);
    case 11: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!, b[at + 10]!);
    case 12: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!, b[at + 10]!, b[at + 11]!);
    case 13: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!, b[at + 10]!, b[at + 11]!, b[at + 12]!);
    case 14: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!, b[at + 10]!, b[at + 11]!, b[at + 12]!, b[at + 13]!);
    default: return F(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!, b[at + 4]!, b[at + 5]!, b[at + 6]!, b[at + 7]!, b[at + 8]!, b[at + 9]!, b[at + 10]!, b[at + 11]!, b[at + 12]!, b[at + 13]!, b[at + 14]!);
  }
}

/** The text up to the first NUL in `bytes[at, end)`, or all of it where there is none. */
export function decodeCString(bytes: Uint8Array, at: number = 0, end: number = bytes.length): string {
  let stop = at;
  let bits = 0;
  let byte = 0;
  while (stop < end && (byte = bytes[stop]!) !== 0) {
    bits |= byte;
    stop++;
  }
  return bits < 0x80 && stop - at < 16 ? shortAscii(bytes, at, stop - at) : decodeText(bytes, at, stop);
}

/** The bytes of `text`, the inverse of {@linkcode decodeText}. */
export function encodeText(text: string): Uint8Array {
  if (!/[\udc80-\udcff]/.test(text)) return encoder.encode(text);
  const parts: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (code >= 0xdc80 && code <= 0xdcff) parts.push(code - 0xdc00);
    else for (const byte of encoder.encode(character)) parts.push(byte);
  }
  return Uint8Array.from(parts);
}

/** The bytes of `text` and a NUL, as C wants it. A path that holds a NUL itself is refused. */
export function encodeCString(text: string): Uint8Array {
  const bytes = encodeText(text);
  if (bytes.includes(0)) throw new TypeError(`Cannot pass ${JSON.stringify(text)} to C: it holds a NUL`);
  const out = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  out.set(bytes);
  return out;
}

/** As UTF-8 where a sequence is whole, byte for byte where it is not. What lies between broken bytes is decoded at once. */
function decodeBroken(bytes: Uint8Array): string {
  let text = "";
  let whole = 0;
  for (let i = 0; i < bytes.length;) {
    const length = sequenceLength(bytes, i);
    if (length === 0) {
      if (whole < i) text += strict.decode(bytes.subarray(whole, i));
      text += String.fromCharCode(0xdc00 + bytes[i]!);
      i++;
      whole = i;
    } else {
      i += length;
    }
  }
  return whole < bytes.length ? text + strict.decode(bytes.subarray(whole)) : text;
}

/** How many bytes the UTF-8 sequence at `i` has, or 0 where it is none (Unicode 16, table 3-7). */
function sequenceLength(bytes: Uint8Array, i: number): number {
  const first = bytes[i]!;
  if (first < 0x80) return 1;
  const second = bytes[i + 1] ?? 0;
  if (first >= 0xc2 && first <= 0xdf) return tail(second) ? 2 : 0;
  const third = bytes[i + 2] ?? 0;
  if (first >= 0xe0 && first <= 0xef) {
    const low = first === 0xe0 ? 0xa0 : 0x80;
    const high = first === 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && tail(third) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const low = first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high && tail(third) && tail(bytes[i + 3] ?? 0) ? 4 : 0;
  }
  return 0;
}

function tail(byte: number): boolean {
  return byte >= 0x80 && byte <= 0xbf;
}
