import { DecodeError } from "../errors/decode_error.ts";
import { fixedBytes, LITTLE } from "../wire/bytes.ts";
import { encodeCString } from "../wire/text.ts";

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

/** What is read at a time: a page, as /sys gives no more. */
const PAGE_BYTES = 4096;
const PAGE_WORDS: number = PAGE_BYTES / 4;

/** Reads into `into` from an offset; answers how many bytes, 0 at the end. What it throws ends the call that asked. */
export type ReadAt = (into: Uint8Array, offset: number) => number;

/**
 * The kernel's own description of its structures (BTF, /sys/kernel/btf/vmlinux), read as far as somebody asks: the
 * types are a list of variable-length records without an index, so it is walked until all that was asked for is found.
 * The file has 5 MB and 130,000 types; the first 2,000 have what matters of a process.
 *
 * Everything in it but names is a 32-bit word of the host's order.
 */
export class Btf {
  readonly #readAt: ReadAt;
  readonly #pages = new Map<number, DataView>();
  /** The types begin and end at these words, the names at these bytes. */
  readonly #typesEnd: number;
  readonly #stringsAt: number;
  readonly #stringsEnd: number;
  /** Where each type begins, as a word, by its number; numbers start with 1. */
  readonly #typeAt: number[] = [0];
  #walkedTo: number;

  /** @throws {DecodeError} When there is no proper header. */
  constructor(readAt: ReadAt) {
    this.#readAt = readAt;
    const first = this.#page(0);
    if (first.byteLength < BTF_HEADER.SIZE || first.getUint16(BTF_HEADER.magic, LITTLE) !== BTF_MAGIC) {
      throw new DecodeError("btf_header", BTF_HEADER.SIZE, first.byteLength);
    }
    const word = (offset: number): number => first.getUint32(offset, LITTLE);
    const start = word(BTF_HEADER.hdr_len);
    const typesAt = start + word(BTF_HEADER.type_off);
    const typesEnd = typesAt + word(BTF_HEADER.type_len);
    if (typesAt % 4 !== 0) throw new DecodeError("btf_header", BTF_HEADER.SIZE, first.byteLength);
    this.#walkedTo = typesAt / 4;
    this.#typesEnd = Math.floor(typesEnd / 4);
    this.#stringsAt = start + word(BTF_HEADER.str_off);
    this.#stringsEnd = this.#stringsAt + word(BTF_HEADER.str_len);
  }

  /**
   * Where a member lies in a structure, in bytes; a member of an unnamed part counts as one of the whole.
   *
   * @returns Undefined where there is no such structure, no such member, or it is a bit field.
   * @throws {DecodeError} When the bytes are not what BTF is.
   */
  memberOffset(structure: string, member: string): number | undefined {
    const structureName = encodeCString(structure);
    const memberName = encodeCString(member);
    for (let id = 1;; id++) {
      const at = this.#type(id);
      if (at === undefined) return undefined;
      if (kindOf(this.#word(at + BTF_TYPE.info)) !== BTF_KIND_STRUCT) continue;
      if (!this.#isName(this.#word(at + BTF_TYPE.name_off), structureName)) continue;
      const offset = this.#memberOffset(at, memberName, 0);
      if (offset !== undefined) return offset;
    }
  }

  #memberOffset(at: number, name: Uint8Array, depth: number): number | undefined {
    const info = this.#word(at + BTF_TYPE.info);
    const hasBitFields = info >>> 31 === 1; // then the upper eight bits of an offset are the size of a bit field
    for (let i = 0; i < (info & 0xffff); i++) {
      const member = at + BTF_TYPE.SIZE + i * BTF_MEMBER.SIZE;
      const word = this.#word(member + BTF_MEMBER.offset);
      const bits = hasBitFields ? word & 0xff_ffff : word;
      const memberName = this.#word(member + BTF_MEMBER.name_off);
      if (this.#isName(memberName, name)) {
        return (hasBitFields && word >>> 24 !== 0) || bits % 8 !== 0 ? undefined : bits / 8;
      }
      if (memberName !== 0 || depth === MAX_DEPTH) continue;
      const inner = this.#type(this.#word(member + BTF_MEMBER.type));
      if (inner === undefined) continue;
      const kind = kindOf(this.#word(inner + BTF_TYPE.info));
      if (kind !== BTF_KIND_STRUCT && kind !== BTF_KIND_UNION) continue;
      const offset = this.#memberOffset(inner, name, depth + 1);
      if (offset !== undefined) return bits / 8 + offset;
    }
    return undefined;
  }

  /** Where type `id` begins; walks on to it where nobody has been so far. Undefined behind the last. */
  #type(id: number): number | undefined {
    let at = this.#walkedTo;
    while (this.#typeAt.length <= id) {
      const left = this.#typesEnd - at;
      if (left <= 0) return undefined;
      const info = left < BTF_TYPE.SIZE ? 0 : this.#word(at + BTF_TYPE.info);
      const trailing = TRAILING_WORDS[kindOf(info)];
      if (trailing === undefined) throw new DecodeError("btf_type", BTF_TYPE.SIZE * 4, left * 4);
      const words = BTF_TYPE.SIZE + trailing[0] + trailing[1] * (info & 0xffff);
      if (words > left) throw new DecodeError("btf_type", words * 4, left * 4);
      this.#typeAt.push(at);
      this.#walkedTo = at = at + words;
    }
    return id === 0 ? undefined : this.#typeAt[id];
  }

  /** Whether the text at an offset is `name`, which ends with a NUL. */
  #isName(offset: number, name: Uint8Array): boolean {
    const at = this.#stringsAt + offset;
    if (at + name.length > this.#stringsEnd) return false;
    for (let i = 0; i < name.length; i++) {
      if (this.#byte(at + i) !== name[i]) return false;
    }
    return true;
  }

  #word(at: number): number {
    const offset = at % PAGE_WORDS * 4;
    const page = this.#page(Math.floor(at / PAGE_WORDS));
    if (offset + 4 > page.byteLength) throw new DecodeError("BTF", offset + 4, page.byteLength);
    return page.getUint32(offset, LITTLE);
  }

  #byte(at: number): number {
    const offset = at % PAGE_BYTES;
    const page = this.#page(Math.floor(at / PAGE_BYTES));
    if (offset >= page.byteLength) throw new DecodeError("BTF", offset + 1, page.byteLength);
    return page.getUint8(offset);
  }

  /** A page of the file; a short one at its end. */
  #page(index: number): DataView {
    let page = this.#pages.get(index);
    if (page === undefined) {
      const bytes = fixedBytes(PAGE_BYTES);
      let length = 0;
      for (let read = 1; read > 0 && length < PAGE_BYTES; length += read) {
        read = this.#readAt(bytes.subarray(length), index * PAGE_BYTES + length);
      }
      page = new DataView(bytes.buffer, 0, length);
      this.#pages.set(index, page);
    }
    return page;
  }
}

function kindOf(info: number): number {
  return (info >>> 24) & 31;
}
