import assert from "node:assert/strict";
import { test } from "node:test";
import { assembleEbpf, type EbpfStep } from "../../lib/bpf/assembler.ts";
import { LITTLE } from "../../lib/wire/bytes.ts";

/** The instructions as hexadecimal text, eight bytes each. */
function words(steps: readonly EbpfStep[]): string[] {
  const bytes = assembleEbpf(steps);
  return Array.from(
    { length: bytes.length / 8 },
    (_, i) =>
      [...bytes.subarray(i * 8, i * 8 + 8)].map((byte) => byte.toString(16).padStart(2, "0")).join(""),
  );
}

test(
  "assembleEbpf() writes each step as the kernel's header defines it",
  { skip: !LITTLE && "big-endian" },
  () => {
    // The right side is what `llvm-objdump -d` and the kernel's verifier log show for these instructions.
    assert.deepEqual(words([{ op: "move", to: 6, from: 1 }]), ["bf16000000000000"]); // r6 = r1
    assert.deepEqual(words([{ op: "set", to: 0, value: -1 }]), ["b7000000ffffffff"]); // r0 = -1
    assert.deepEqual(words([{ op: "add", to: 2, value: -4 }]), ["07020000fcffffff"]); // r2 += -4
    assert.deepEqual(words([{ op: "subtract", to: 4, from: 3 }]), ["1f34000000000000"]); // r4 -= r3
    assert.deepEqual(words([{ op: "addRegister", to: 4, from: 3 }]), ["0f34000000000000"]); // r4 += r3
    assert.deepEqual(words([{ op: "load", to: 7, from: 6, offset: 16, bytes: 8 }]), ["7967100000000000"]);
    assert.deepEqual(words([{ op: "load", to: 1, from: 8, offset: 40, bytes: 4 }]), ["6181280000000000"]);
    assert.deepEqual(words([{ op: "store", to: 8, offset: 8, from: 0, bytes: 8 }]), ["7b08080000000000"]);
    assert.deepEqual(words([{ op: "store", to: 10, offset: -8, from: 9, bytes: 4 }]), ["639af8ff00000000"]);
    assert.deepEqual(words([{ op: "storeValue", to: 10, offset: -4, value: 7, bytes: 4 }]), [
      "620afcff07000000",
    ]);
    assert.deepEqual(words([{ op: "loadMap", to: 1, fd: 5 }]), ["1811000005000000", "0000000000000000"]);
    assert.deepEqual(words([{ op: "call", helper: 14 }]), ["850000000e000000"]);
    assert.deepEqual(words([{ op: "exit" }]), ["9500000000000000"]);
  },
);

test(
  "assembleEbpf() counts a map's address as two instructions in a jump",
  { skip: !LITTLE && "big-endian" },
  () => {
    const program = words([
      { op: "jumpIf", register: 0, test: "==", value: 0, label: "end" },
      { op: "loadMap", to: 1, fd: 3 },
      { op: "jumpIf", register: 2, test: "<=", value: 4096, label: "end" },
      { op: "set", to: 2, value: 4096 },
      { op: "label", name: "end" },
      { op: "exit" },
    ]);
    assert.equal(program[0], "1500040000000000");
    assert.equal(program[3], "b502010000100000");
  },
);

test("assembleEbpf() refuses a label that is missing or lies behind its jump", () => {
  const jump = { op: "jumpIf", register: 0, test: "==", value: 0, label: "there" } as const;
  assert.throws(() => assembleEbpf([jump, { op: "exit" }]), /no label there follows/);
  assert.throws(() => assembleEbpf([{ op: "label", name: "there" }, jump, { op: "exit" }]), RangeError);
});
