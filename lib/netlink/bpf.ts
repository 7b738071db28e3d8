import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";

/**
 * A small assembler for classic BPF, the filter that every kernel runs over a datagram before it is queued
 * (`struct sock_filter` in include/uapi/linux/filter.h). Jumps go forward, to labels.
 */
export type BpfStep =
  | { readonly op: "label"; readonly name: string }
  /** Loads the 32-bit word at `offset`, in the order of the network. A load beyond the datagram drops it. */
  | { readonly op: "load"; readonly offset: number }
  /** Loads the length of the datagram. */
  | { readonly op: "loadLength" }
  /** Jumps to `to` where the comparison with `value` holds, else goes on. */
  | {
    readonly op: "jumpIf";
    readonly test: "==" | ">" | ">=" | "&";
    readonly value: number;
    readonly to: string;
  }
  /** Keeps what is loaded for a comparison with what is loaded next. */
  | { readonly op: "keep" }
  /** Jumps to `to` where what is loaded is what was kept. */
  | { readonly op: "jumpIfKept"; readonly to: string }
  | { readonly op: "jump"; readonly to: string }
  /** Keeps the whole datagram. */
  | { readonly op: "accept" }
  | { readonly op: "drop" };

const LOAD_WORD = 0x20;
const LOAD_LENGTH = 0x80;
const JUMP = 0x05;
const JUMP_IF = { "==": 0x15, ">": 0x25, ">=": 0x35, "&": 0x45 } as const;
const JUMP_IF_X = 0x1d;
const TO_X = 0x07;
const RETURN = 0x06;

/** Offsets in `struct sock_filter`. */
const SOCK_FILTER = { code: 0, jt: 2, jf: 3, k: 4, SIZE: 8 } as const;

/** The kernel takes no longer program (BPF_MAXINSNS). */
export const MAX_STEPS = 4096;

/** A host-order word as a BPF load sees it: loads are big-endian. */
export function hostWord(value: number): number {
  if (!LITTLE) return value >>> 0;
  return ((value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24)) >>> 0;
}

/**
 * Assembles a program into an array of `struct sock_filter`.
 *
 * @throws {RangeError} When a conditional jump is longer than 255 steps, a label is missing or behind, or the program
 * is too long.
 */
export function assemble(steps: readonly BpfStep[]): Uint8Array {
  const labels = new Map<string, number>();
  let count = 0;
  for (const step of steps) {
    if (step.op === "label") labels.set(step.name, count);
    else count++;
  }
  if (count === 0 || count > MAX_STEPS) {
    throw new RangeError(`Cannot assemble a BPF program of ${count} steps`);
  }
  const bytes = fixedBytes(count * SOCK_FILTER.SIZE);
  const view = viewOf(bytes);
  let index = 0;
  const distance = (to: string, limit: number): number => {
    const target = labels.get(to);
    if (target === undefined) throw new RangeError(`Cannot assemble a BPF program: no label ${to}`);
    const steps = target - index - 1;
    if (steps < 0 || steps > limit) {
      throw new RangeError(`Cannot assemble a BPF program: ${to} is ${steps} steps away`);
    }
    return steps;
  };
  const put = (code: number, k: number, jt = 0): void => {
    const at = index * SOCK_FILTER.SIZE;
    view.setUint16(at + SOCK_FILTER.code, code, LITTLE);
    view.setUint8(at + SOCK_FILTER.jt, jt);
    view.setUint32(at + SOCK_FILTER.k, k, LITTLE);
    index++;
  };
  for (const step of steps) {
    switch (step.op) {
      case "label":
        break;
      case "load":
        put(LOAD_WORD, step.offset);
        break;
      case "loadLength":
        put(LOAD_LENGTH, 0);
        break;
      case "jumpIf":
        put(JUMP_IF[step.test], step.value, distance(step.to, 255));
        break;
      case "keep":
        put(TO_X, 0);
        break;
      case "jumpIfKept":
        put(JUMP_IF_X, 0, distance(step.to, 255));
        break;
      case "jump":
        put(JUMP, distance(step.to, MAX_STEPS));
        break;
      case "accept":
        put(RETURN, 0xffff_ffff);
        break;
      case "drop":
        put(RETURN, 0);
        break;
    }
  }
  return bytes;
}

/** The program as text, a step a line. */
export function disassemble(steps: readonly BpfStep[]): string {
  return steps.map((step) => {
    switch (step.op) {
      case "label":
        return `${step.name}:`;
      case "load":
        return `  load word at ${step.offset}`;
      case "loadLength":
        return "  load length";
      case "jumpIf":
        return `  if word ${step.test} 0x${step.value.toString(16).padStart(8, "0")} goto ${step.to}`;
      case "keep":
        return "  keep word";
      case "jumpIfKept":
        return `  if word == kept word goto ${step.to}`;
      case "jump":
        return `  goto ${step.to}`;
      default:
        return `  ${step.op}`;
    }
  }).join("\n");
}
