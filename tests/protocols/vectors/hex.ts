/** Bytes written as hex, with white space anywhere and comments from "#" to the end of the line. */
export function hex(parts: TemplateStringsArray): Uint8Array<ArrayBuffer> {
  const digits = parts.join("").replace(/#.*$/gm, "").replace(/\s/g, "");
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new TypeError(`Cannot read ${digits} as hex`);
  const bytes = new Uint8Array(new ArrayBuffer(digits.length / 2));
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
