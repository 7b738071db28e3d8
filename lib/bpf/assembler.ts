import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";

/** A register: r0 holds results, r1 to r5 arguments, r6 to r9 survive calls, r10 points at the end of the stack. */
type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/**
 * A step of an eBPF program (`struct bpf_insn` in include/uapi/linux/bpf.h), as far as the programs here need them.
 * All arithmetic has 64 bits; jumps go forward, to labels.
 */
export type EbpfStep =
  | { readonly op: "label"; readonly name: string }
  /** `to = from`. */
  | { readonly op: "move"; readonly to: Register; readonly from: Register }
  /** `to = value`, sign-extended. */
  | { readonly op: "set"; readonly to: Register; readonly value: number }
  /** `to += value`, sign-extended. */
  | { readonly op: "add"; readonly to: Register; readonly value: number }
  /** `to += from`. */
  | { readonly op: "addRegister"; readonly to: Register; readonly from: Register }
  /** `to -= from`. */
  | { readonly op: "subtract"; readonly to: Register; readonly from: Register }
  /** `to = *(from + offset)`, zero-extended. */
  | {
    readonly op: "load";
    readonly to: Register;
    readonly from: Register;
    readonly offset: number;
    readonly bytes: 4 | 8;
  }
  /** `*(to + offset) = from`. */
  | {
    readonly op: "store";
    readonly to: Register;
    readonly offset: number;
    readonly from: Register;
    readonly bytes: 4 | 8;
  }
  /** `*(to + offset) = value`. */
  | {
    readonly op: "storeValue";
    readonly to: Register;
    readonly offset: number;
    readonly value: number;
    readonly bytes: 4 | 8;
  }
  /** Loads the address of a map; takes two places. */
  | { readonly op: "loadMap"; readonly to: Register; readonly fd: number }
  /** Calls a helper function by its number. */
  | { readonly op: "call"; readonly helper: number }
  /** Jumps where the unsigned comparison with `value` holds. */
  | {
    readonly op: "jumpIf";
    readonly register: Register;
    readonly test: "==" | "<=";
    readonly value: number;
    readonly label: string;
  }
  /** Ends the program; r0 is its result. */
  | { readonly op: "exit" };

/** Offsets in `struct bpf_insn`: the code, two registers of four bits each, a jump's or access's offset, a constant. */
const BPF_INSN = { code: 0, registers: 1, off: 2, imm: 4, SIZE: 8 } as const;

// The codes: class, size or operation, and source, combined as in include/uapi/linux/bpf_common.h.
const BPF_ALU64_MOV_X = 0xbf;
const BPF_ALU64_MOV_K = 0xb7;
const BPF_ALU64_ADD_K = 0x07;
const BPF_ALU64_ADD_X = 0x0f;
const BPF_ALU64_SUB_X = 0x1f;
const BPF_LDX_MEM = { 4: 0x61, 8: 0x79 } as const;
const BPF_STX_MEM = { 4: 0x63, 8: 0x7b } as const;
const BPF_ST_MEM = { 4: 0x62, 8: 0x7a } as const;
const BPF_LD_IMM_DW = 0x18;
const BPF_JMP_K = { "==": 0x15, "<=": 0xb5 } as const;
const BPF_JMP_CALL = 0x85;
const BPF_JMP_EXIT = 0x95;
/** The second register of a load says that the constant is a map's descriptor. */
const BPF_PSEUDO_MAP_FD = 1;

/**
 * Assembles a program into an array of `struct bpf_insn`.
 *
 * @throws {RangeError} When a label is missing or lies behind its jump.
 */
export function assembleEbpf(steps: readonly EbpfStep[]): Uint8Array<ArrayBuffer> {
  const labels = new Map<string, number>();
  let count = 0;
  for (const step of steps) {
    if (step.op === "label") labels.set(step.name, count);
    else count += step.op === "loadMap" ? 2 : 1;
  }
  const program = fixedBytes(count * BPF_INSN.SIZE);
  const view = viewOf(program);
  let index = 0;
  const put = (code: number, to: number, from: number, off: number, imm: number): void => {
    const at = index * BPF_INSN.SIZE;
    view.setUint8(at + BPF_INSN.code, code);
    // A bit field of C: the first member is in the low bits on a little-endian host, in the high bits elsewhere.
    view.setUint8(at + BPF_INSN.registers, LITTLE ? to | from << 4 : to << 4 | from);
    view.setInt16(at + BPF_INSN.off, off, LITTLE);
    view.setInt32(at + BPF_INSN.imm, imm, LITTLE);
    index++;
  };
  const distance = (label: string): number => {
    const target = labels.get(label);
    if (target === undefined || target <= index) {
      throw new RangeError(`Cannot assemble an eBPF program: no label ${label} follows the jump to it`);
    }
    return target - index - 1;
  };
  for (const step of steps) {
    switch (step.op) {
      case "label":
        break;
      case "move":
        put(BPF_ALU64_MOV_X, step.to, step.from, 0, 0);
        break;
      case "set":
        put(BPF_ALU64_MOV_K, step.to, 0, 0, step.value);
        break;
      case "add":
        put(BPF_ALU64_ADD_K, step.to, 0, 0, step.value);
        break;
      case "addRegister":
        put(BPF_ALU64_ADD_X, step.to, step.from, 0, 0);
        break;
      case "subtract":
        put(BPF_ALU64_SUB_X, step.to, step.from, 0, 0);
        break;
      case "load":
        put(BPF_LDX_MEM[step.bytes], step.to, step.from, step.offset, 0);
        break;
      case "store":
        put(BPF_STX_MEM[step.bytes], step.to, step.from, step.offset, 0);
        break;
      case "storeValue":
        put(BPF_ST_MEM[step.bytes], step.to, 0, step.offset, step.value);
        break;
      case "loadMap":
        put(BPF_LD_IMM_DW, step.to, BPF_PSEUDO_MAP_FD, 0, step.fd);
        put(0, 0, 0, 0, 0);
        break;
      case "call":
        put(BPF_JMP_CALL, 0, 0, 0, step.helper);
        break;
      case "jumpIf":
        put(BPF_JMP_K[step.test], step.register, 0, distance(step.label), step.value);
        break;
      case "exit":
        put(BPF_JMP_EXIT, 0, 0, 0, 0);
        break;
    }
  }
  return program;
}
