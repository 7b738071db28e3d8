import type { BpfCalls } from "../../ffi/libc.ts";
import { ERRNO } from "../errors/errno.ts";
import { check, SyscallError } from "../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeCString, encodeCString } from "../wire/text.ts";
import { assembleEbpf, type EbpfStep } from "./assembler.ts";

// Commands of bpf(2), `enum bpf_cmd` in include/uapi/linux/bpf.h.
const BPF_MAP_CREATE = 0;
const BPF_PROG_LOAD = 5;
const BPF_PROG_TEST_RUN = 10;
const BPF_RAW_TRACEPOINT_OPEN = 17;

/** One value for each processor, by a 32-bit key: where a program builds what is too large for its stack. */
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6;
/** Records of any length, read without a system call; Linux 5.8 and newer. */
export const BPF_MAP_TYPE_RINGBUF = 27;

const BPF_PROG_TYPE_RAW_TRACEPOINT = 17;

/** Offsets in the parts of `union bpf_attr` that are used here. SIZE reaches to the end of what an old kernel knows. */
const MAP_CREATE = { map_type: 0, key_size: 4, value_size: 8, max_entries: 12, SIZE: 16 } as const;
const PROG_LOAD = {
  prog_type: 0,
  insn_cnt: 4,
  insns: 8,
  license: 16,
  log_level: 24,
  log_size: 28,
  log_buf: 32,
  kern_version: 40,
  prog_flags: 44,
  prog_name: 48,
  SIZE: 64,
} as const;
const TEST_RUN = { prog_fd: 0, ctx_size_in: 40, ctx_in: 48, SIZE: 72 } as const;
const RAW_TRACEPOINT_OPEN = { name: 0, prog_fd: 8, SIZE: 16 } as const;
/** Size of an instruction. */
const BPF_INSN_SIZE = 8;
/** The most characters of a program's name, its NUL included. */
const BPF_OBJ_NAME_LEN = 16;
const VERIFIER_LOG_BYTES = 1 << 16;
/** Of the verifier's log the end says why. */
const SHOWN_LOG_CHARACTERS = 600;

/**
 * Creates a map.
 *
 * @param action completes "Cannot …" in the error.
 * @returns Its descriptor.
 * @throws {SyscallError} Where the kernel refuses.
 */
export function createMap(
  libc: BpfCalls,
  map: {
    readonly type: number;
    readonly keyBytes: number;
    readonly valueBytes: number;
    readonly entries: number;
  },
  action: string,
): number {
  const attributes = fixedBytes(MAP_CREATE.SIZE);
  const view = viewOf(attributes);
  view.setUint32(MAP_CREATE.map_type, map.type, LITTLE);
  view.setUint32(MAP_CREATE.key_size, map.keyBytes, LITTLE);
  view.setUint32(MAP_CREATE.value_size, map.valueBytes, LITTLE);
  view.setUint32(MAP_CREATE.max_entries, map.entries, LITTLE);
  return check(libc.bpf(BPF_MAP_CREATE, attributes), action, "BPF_MAP_CREATE");
}

/**
 * Loads a program for a raw tracepoint.
 *
 * @param name for people who list the kernel's programs, at most 15 letters, digits and underscores.
 * @returns Its descriptor.
 * @throws {SyscallError} Where the kernel refuses; what the verifier says against the program is its advice.
 */
export function loadRawTracepointProgram(
  libc: BpfCalls,
  steps: readonly EbpfStep[],
  name: string,
  action: string,
): number {
  const program = assembleEbpf(steps);
  // The helpers that read memory are there for programs under a licence that is compatible with the kernel's.
  const license = encodeCString("Dual MIT/GPL");
  const attributes = fixedBytes(PROG_LOAD.SIZE);
  const view = viewOf(attributes);
  view.setUint32(PROG_LOAD.prog_type, BPF_PROG_TYPE_RAW_TRACEPOINT, LITTLE);
  view.setUint32(PROG_LOAD.insn_cnt, program.length / BPF_INSN_SIZE, LITTLE);
  view.setBigUint64(PROG_LOAD.insns, libc.addressOf(program), LITTLE);
  view.setBigUint64(PROG_LOAD.license, libc.addressOf(license), LITTLE);
  attributes.set(encodeCString(name).subarray(0, BPF_OBJ_NAME_LEN - 1), PROG_LOAD.prog_name);
  const held = [program, license]; // C has their addresses: they live until the last call is over
  let result = libc.bpf(BPF_PROG_LOAD, attributes);
  if (result < 0 && result !== -ERRNO.EPERM!) {
    // A second time with a log, which costs time and can itself be refused for being too short.
    const log = fixedBytes(VERIFIER_LOG_BYTES);
    view.setUint32(PROG_LOAD.log_level, 1, LITTLE);
    view.setUint32(PROG_LOAD.log_size, log.length, LITTLE);
    view.setBigUint64(PROG_LOAD.log_buf, libc.addressOf(log), LITTLE);
    held.push(log);
    result = libc.bpf(BPF_PROG_LOAD, attributes);
    const text = decodeCString(log).trim();
    if (result < 0) {
      const advice = text === "" ? undefined : `the verifier says: ${text.slice(-SHOWN_LOG_CHARACTERS)}`;
      throw new SyscallError(action, "BPF_PROG_LOAD", -result, advice);
    }
  }
  held.length = 0;
  return check(result, action, "BPF_PROG_LOAD");
}

/**
 * Runs a program for a raw tracepoint once, in this thread; its arguments are zeros. Linux 5.10 and newer.
 *
 * @returns 0, or `-errno`.
 */
export function runRawTracepointProgram(libc: BpfCalls, programFd: number, argumentCount: number): number {
  const context = fixedBytes(argumentCount * 8);
  const attributes = fixedBytes(TEST_RUN.SIZE);
  const view = viewOf(attributes);
  view.setUint32(TEST_RUN.prog_fd, programFd, LITTLE);
  view.setUint32(TEST_RUN.ctx_size_in, context.length, LITTLE);
  view.setBigUint64(TEST_RUN.ctx_in, libc.addressOf(context), LITTLE);
  const result = libc.bpf(BPF_PROG_TEST_RUN, attributes);
  // `context` is used once more behind the call, so that nobody frees it before.
  return context.length > 0 ? result : 0;
}

/**
 * Runs a loaded program at a tracepoint from now on, until the returned descriptor is closed.
 *
 * @throws {SyscallError} Where the kernel refuses: ENOENT when it has no such tracepoint.
 */
export function attachRawTracepoint(
  libc: BpfCalls,
  programFd: number,
  tracepoint: string,
  action: string,
): number {
  const name = encodeCString(tracepoint);
  const attributes = fixedBytes(RAW_TRACEPOINT_OPEN.SIZE);
  const view = viewOf(attributes);
  view.setBigUint64(RAW_TRACEPOINT_OPEN.name, libc.addressOf(name), LITTLE);
  view.setUint32(RAW_TRACEPOINT_OPEN.prog_fd, programFd, LITTLE);
  const result = libc.bpf(BPF_RAW_TRACEPOINT_OPEN, attributes);
  // `name` is used once more behind the call, so that nobody frees it before.
  return check(result, action, name.length > 0 ? "BPF_RAW_TRACEPOINT_OPEN" : "");
}
