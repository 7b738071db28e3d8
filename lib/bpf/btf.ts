import { DecodeError } from "../errors/decode_error.ts";
import { LITTLE, viewOf } from "../wire/bytes.ts";

/** `struct btf_header` in include/uapi/linux/btf.h. Its offsets count from the header's end, `hdr_len`. */
const BTF_HEADER = {
  magic: 0,
  version: 2,
  hdr_len: 4,
  type_off: 8,
  type_len: 12,
  str_off: 16,
  str_len: 20,
  SIZE: 24,
} as const;
const BTF_MAGIC = 0xeb9f;

/** `struct btf_type`, in words: then follow `vlen` members, parameters and the like, as the kind wants. */
const BTF_TYPE = { name_off: 0, info: 1, SIZE: 3 } as const;
/** `struct btf_member`, in words. */
const BTF_MEMBER = { name_off: 0, type: 1, offset: 2, SIZE: 3 } as const;

const BTF_KIND_STRUCT = 4;
const BTF_KIND_UNION = 5;

/** Words that follow a `struct btf_type`, by kind: a fixed number, and a number for each of its `vlen` parts. */
const TRAILING_WORDS: readonly (readonly [fixed: number, each: number] | undefined)[] = [
  undefined, // UNKN: no type has it
  [1, 0], // INT
  [0, 0], // PTR
  [3, 0], // ARRAY
  [0, 3], // STRUCT
  [0, 3], // UNION
  [0, 2], // ENUM
  [0, 0], // FWD
  [0, 0], // TYPEDEF
  [0, 0], // VOLATILE
  [0, 0], // CONST
  [0, 0], // RESTRICT
  [0, 0], // FUNC
  [0, 2], // FUNC_PROTO
  [1, 0], // VAR
  [0, 3], // DATASEC
  [0, 0], // FLOAT
  [1, 0], // DECL_TAG
  [0, 0], // TYPE_TAG
  [0, 3], // ENUM64
];

/** Unnamed structures inside unnamed structures: C has no limit, a kernel has two or three. */
const MAX_DEPTH = 16;

/**
 * The kernel's own description of its structures (BTF, /sys/kernel/btf/vmlinux), read as far as somebody asks: the
 * types are a list of variable-length records without an index, so it is walked until all that was asked for is found.
 *
 * Everything in it is a 32-bit word of the host's order, and is read through one array of words: a kernel has 130,000
 * types, and they are walked by code that runs once and is never compiled.
 */
export class Btf {
  readonly #words: Uint32Array;
  /** The types, as word numbers. */
  readonly #typesEnd: number;
  /** The names, each behind a NUL, once. */
  readonly #strings: string;
  /** Where each type begins, by its number; numbers start with 1. */
  readonly #typeAt: number[] = [0];
  #walkedTo: number;

  /** @throws {DecodeError} When the header does not fit the bytes. */
  constructor(bytes: Uint8Array) {
    const view = viewOf(bytes);
    if (bytes.length < BTF_HEADER.SIZE || view.getUint16(BTF_HEADER.magic, LITTLE) !== BTF_MAGIC) {
      throw new DecodeError("btf_header", BTF_HEADER.SIZE, bytes.length);
    }
    const start = view.getUint32(BTF_HEADER.hdr_len, LITTLE);
    const section = (offset: number, length: number): readonly [number, number] => {
      const at = start + view.getUint32(offset, LITTLE);
      const end = at + view.getUint32(length, LITTLE);
      if (end > bytes.length) throw new DecodeError("btf_header", end, bytes.length);
      return [at, end];
    };
    const [typesAt, typesEnd] = section(BTF_HEADER.type_off, BTF_HEADER.type_len);
    const [stringsAt, stringsEnd] = section(BTF_HEADER.str_off, BTF_HEADER.str_len);
    let types = bytes.subarray(typesAt, typesEnd);
    if (types.byteOffset % 4 !== 0) types = new Uint8Array(types); // a copy begins at a multiple of four
    this.#words = new Uint32Array(types.buffer, types.byteOffset, types.length >>> 2);
    this.#typesEnd = this.#words.length;
    this.#walkedTo = 0;
    // One character a byte: then an index in the text is an offset in the section.
    this.#strings = new TextDecoder("latin1").decode(bytes.subarray(stringsAt, stringsEnd));
  }

  /**
   * Where a member lies in a structure, in bytes; a member of an unnamed part counts as one of the whole.
   *
   * @returns Undefined where there is no such structure, no such member, or it is a bit field.
   * @throws {DecodeError} When the bytes are not what BTF is.
   */
  memberOffset(structure: string, member: string): number | undefined {
    const structureName = this.#nameOffset(structure);
    const memberName = this.#nameOffset(member);
    if (structureName === undefined || memberName === undefined) return undefined;
    const words = this.#words;
    for (let id = 1;; id++) {
      const at = this.#typeAt[id] ?? this.#type(id);
      if (at === undefined) return undefined;
      if (
        words[at + BTF_TYPE.name_off] !== structureName ||
        kindOf(words[at + BTF_TYPE.info]!) !== BTF_KIND_STRUCT
      ) {
        continue;
      }
      const offset = this.#memberOffset(at, memberName, 0);
      if (offset !== undefined) return offset;
    }
  }

  #nameOffset(name: string): number | undefined {
    const at = this.#strings.indexOf(`\0${name}\0`);
    return at < 0 ? undefined : at + 1;
  }

  #memberOffset(at: number, name: number, depth: number): number | undefined {
    const words = this.#words;
    const info = words[at + BTF_TYPE.info]!;
    const hasBitFields = info >>> 31 === 1; // then the upper eight bits of an offset are the size of a bit field
    for (let i = 0; i < (info & 0xffff); i++) {
      const member = at + BTF_TYPE.SIZE + i * BTF_MEMBER.SIZE;
      const word = words[member + BTF_MEMBER.offset]!;
      const bits = hasBitFields ? word & 0xff_ffff : word;
      const memberName = words[member + BTF_MEMBER.name_off]!;
      if (memberName === name) {
        return (hasBitFields && word >>> 24 !== 0) || bits % 8 !== 0 ? undefined : bits / 8;
      }
      if (memberName !== 0 || depth === MAX_DEPTH) continue;
      const inner = this.#type(words[member + BTF_MEMBER.type]!);
      if (inner === undefined) continue;
      const kind = kindOf(words[inner + BTF_TYPE.info]!);
      if (kind !== BTF_KIND_STRUCT && kind !== BTF_KIND_UNION) continue;
      const offset = this.#memberOffset(inner, name, depth + 1);
      if (offset !== undefined) return bits / 8 + offset;
    }
    return undefined;
  }

  /** Where type `id` begins; walks on to it where nobody has been so far. Undefined behind the last. */
  #type(id: number): number | undefined {
    const words = this.#words;
    let at = this.#walkedTo;
    while (this.#typeAt.length <= id) {
      if (at >= this.#typesEnd) return undefined;
      const info = words[at + BTF_TYPE.info] ?? 0;
      const trailing = TRAILING_WORDS[kindOf(info)];
      if (trailing === undefined) {
        throw new DecodeError("btf_type", BTF_TYPE.SIZE * 4, (this.#typesEnd - at) * 4);
      }
      const end = at + BTF_TYPE.SIZE + trailing[0] + trailing[1] * (info & 0xffff);
      if (end > this.#typesEnd) throw new DecodeError("btf_type", (end - at) * 4, (this.#typesEnd - at) * 4);
      this.#typeAt.push(at);
      this.#walkedTo = at = end;
    }
    return id === 0 ? undefined : this.#typeAt[id];
  }
}

function kindOf(info: number): number {
  return (info >>> 24) & 31;
}
