import { LITTLE } from "../../lib/wire/bytes.ts";

/** A type of a made-up kernel: the words of its `struct btf_type` and what follows it, names as text. */
export type Word = number | string;

/** Puts a BTF file together from types. */
export function btfFile(types: readonly (readonly Word[])[]): Uint8Array<ArrayBuffer> {
  let strings = "\0";
  const offsets = new Map<string, number>([["", 0]]);
  const words = types.flat().map((word) => {
    if (typeof word === "number") return word;
    let offset = offsets.get(word);
    if (offset === undefined) {
      offset = strings.length;
      offsets.set(word, offset);
      strings += `${word}\0`;
    }
    return offset;
  });
  const bytes = new Uint8Array(24 + words.length * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, LITTLE);
  view.setUint8(2, 1);
  [24, 0, words.length * 4, words.length * 4, strings.length].forEach((word, i) =>
    view.setUint32(4 + i * 4, word, LITTLE)
  );
  words.forEach((word, i) => view.setUint32(24 + i * 4, word, LITTLE));
  bytes.set(new TextEncoder().encode(strings), 24 + words.length * 4);
  return bytes;
}

/** `info` of a type. */
export const info = (kind: number, members = 0, bitFields = false): number =>
  ((bitFields ? 0x8000_0000 : 0) + (kind << 24) + members) >>> 0;

/** The structures of a kernel of which execs can be recorded. */
export function recordableKernel(): Uint8Array<ArrayBuffer> {
  return btfFile([
    ["long", info(1), 8, 64], // type 1
    ["task_struct", info(4, 2), 64, "mm", 1, 256, "fs", 1, 320],
    ["fs_struct", info(4, 1), 64, "root", 1, 128],
    ["mm_struct", info(4, 3), 64, "start_stack", 1, 64, "arg_start", 1, 128, "arg_end", 1, 192],
    ["linux_binprm", info(4, 2), 64, "filename", 1, 64, "interp", 1, 128],
  ]);
}
