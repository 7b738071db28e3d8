import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { Btf } from "../../lib/bpf/btf.ts";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { btfFile, info } from "./btf_file.ts";

const INT = ["int", info(1), 4, 32] as const; // type 1
/** `struct task_struct { int state; struct { int first; union { int inner; }; }; int flags : 3; int last; }` */
const KERNEL = btfFile([
  INT,
  ["", info(3), 0, 1, 1, 4], // type 2: an array
  ["task_struct", info(4, 4, true), 20, "state", 1, 0, "", 4, 32, "flags", 1, 96 + (3 << 24), "last", 1, 128], // 3
  ["", info(4, 2), 8, "first", 1, 0, "", 5, 32], // type 4, behind its user
  ["", info(5, 1), 4, "inner", 1, 0], // type 5
  ["enumeration", info(6, 2), 4, "one", 1, "two", 2], // 6
  ["other", info(4, 1), 4, "state", 1, 0], // 7
]);

/** As the kernel's file is read; a short answer is not the end. */
function btfOf(file: Uint8Array, most = Infinity): Btf {
  return new Btf((into, offset) => {
    const part = file.subarray(offset, offset + Math.min(into.length, most));
    into.set(part);
    return part.length;
  });
}

test("memberOffset() finds members, also in unnamed parts, whatever the order of the types", () => {
  const btf = btfOf(KERNEL);
  assert.equal(btf.memberOffset("task_struct", "state"), 0);
  assert.equal(btf.memberOffset("task_struct", "first"), 4);
  assert.equal(btf.memberOffset("task_struct", "inner"), 8);
  assert.equal(btf.memberOffset("task_struct", "last"), 16);
  assert.equal(btf.memberOffset("other", "state"), 0);
});

test("memberOffset() knows no bit field, no member of another structure, and no type that is none", () => {
  const btf = btfOf(KERNEL);
  assert.equal(btf.memberOffset("task_struct", "flags"), undefined);
  assert.equal(btf.memberOffset("other", "last"), undefined);
  assert.equal(btf.memberOffset("enumeration", "one"), undefined);
  assert.equal(btf.memberOffset("task", "state"), undefined); // a part of a name is no name
  assert.equal(btf.memberOffset("struct", "state"), undefined);
});

test("names and types that lie across pages are found, and short reads go on", () => {
  const filler = Array.from({ length: 1500 }, (_, i) => [`filler${i}`, info(7), 0] as const);
  const file = btfFile([INT, ...filler, ["wanted", info(4, 1), 8, "member", 1, 64]]);
  assert(file.length > 5 * 4096);
  for (const most of [Infinity, 1000, 7]) assert.equal(btfOf(file, most).memberOffset("wanted", "member"), 8);
});

test("what a read throws comes out", () => {
  const fail = (): number => {
    throw new Error("no more");
  };
  assert.throws(() => new Btf(fail), /no more/);
});

test("a type that holds itself, and numbers of types that there are not, end", () => {
  const loop = btfFile([["task_struct", info(4, 2), 8, "", 1, 0, "", 99, 32], ["x", info(4), 0]]);
  assert.equal(btfOf(loop).memberOffset("task_struct", "x"), undefined);
});

test("bytes that are no BTF give DecodeError, and nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => onlyDecodeError(bytes)));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(KERNEL.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
      fc.nat(KERNEL.length),
      (changes, length) => {
        const bytes = KERNEL.slice();
        for (const [at, value] of changes) bytes[at] = value;
        onlyDecodeError(bytes.subarray(0, length));
      },
    ),
    { numRuns: 2000 },
  );
});

function onlyDecodeError(bytes: Uint8Array): void {
  try {
    btfOf(bytes).memberOffset("task_struct", "inner");
  } catch (error) {
    assert(error instanceof DecodeError, String(error));
  }
}

test("the running kernel's own BTF has what the C headers promise", (context) => {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync("/sys/kernel/btf/vmlinux");
  } catch (error) {
    return context.skip(`no BTF here: ${(error as Error).message}`);
  }
  const btf = btfOf(bytes);
  // struct list_head { struct list_head *next, *prev; } has been so since there is a kernel.
  assert.equal(btf.memberOffset("list_head", "next"), 0);
  assert.equal(btf.memberOffset("list_head", "prev"), 8);
  const argStart = btf.memberOffset("mm_struct", "arg_start")!;
  assert.equal(btf.memberOffset("mm_struct", "arg_end"), argStart + 8);
  assert(btf.memberOffset("task_struct", "mm")! > 0);
});
