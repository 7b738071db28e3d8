import type { Libc } from "../../ffi/libc.ts";
import type { EbpfStep } from "../bpf/assembler.ts";
import {
  attachRawTracepoint,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  createMap,
  loadRawTracepointProgram,
  QueueReader,
} from "../bpf/bpf.ts";
import { Btf } from "../bpf/btf.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { SyscallError } from "../errors/syscall_error.ts";
import { readFile } from "../procfs/file.ts";
import { LITTLE, viewOf } from "../wire/bytes.ts";
import { decodeText } from "../wire/text.ts";

/** What the kernel handed over at the moment of an exec. */
export interface ExecRecord {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** CLOCK_MONOTONIC, some microseconds before the stamp of the exec's event. */
  readonly timestampNs: bigint;
  /** The arguments; undefined where the kernel could not read them. */
  readonly args: readonly string[] | undefined;
  /** Bytes of all the arguments with their NULs, also where `args` holds less. */
  readonly argBytes: number;
  /** Whether `args` is cut: the last one may be incomplete. */
  readonly truncated: boolean;
  /** The path as it was given to execve: of a script, not of its interpreter. Undefined where it was too long. */
  readonly path: string | undefined;
}

/** A place that records are given to, in the order of the execs on each processor. */
export type ExecRecordSink = (record: ExecRecord) => void;

/** Offsets in a record: our own structure, which the program below fills. */
export const EXEC_RECORD = {
  pidTgid: 0,
  timestampNs: 8,
  uidGid: 16,
  argBytes: 24,
  argError: 32,
  cpu: 36,
  seq: 40,
  pathBytes: 44,
  path: 48,
  args: 560,
  SIZE: 4656,
} as const;
const PATH_BYTES = EXEC_RECORD.args - EXEC_RECORD.path;
/** Bytes of arguments that a record has room for. */
export const RECORD_ARG_BYTES: number = EXEC_RECORD.SIZE - EXEC_RECORD.args;

/** How many records wait for us in the kernel before the oldest goes: 4.6 MiB. */
const QUEUE_ENTRIES = 1024;
/** Records that one reading takes at most: what comes faster than it can be read is left for the next. */
const MAX_READ = 4 * QUEUE_ENTRIES;

const TRACEPOINT = "sched_process_exec";
const BTF_PATH = "/sys/kernel/btf/vmlinux";
const BTF_LIMIT_BYTES = 64 << 20;

// Helper functions, `enum bpf_func_id` in include/uapi/linux/bpf.h.
const BPF_FUNC_map_lookup_elem = 1;
const BPF_FUNC_ktime_get_ns = 5;
const BPF_FUNC_get_smp_processor_id = 8;
const BPF_FUNC_get_current_pid_tgid = 14;
const BPF_FUNC_get_current_uid_gid = 15;
const BPF_FUNC_map_push_elem = 87;
const BPF_FUNC_probe_read_user = 112;
const BPF_FUNC_probe_read_kernel = 113;
const BPF_FUNC_probe_read_kernel_str = 115;
/** `map_push_elem`: where the queue is full, the oldest makes room. */
const BPF_EXIST = 2;

/** Where this kernel keeps what the program reads. */
interface KernelOffsets {
  readonly taskMm: number;
  readonly mmArgStart: number;
  readonly bprmFilename: number;
}

/** Reads the offsets from the kernel's own description of its structures. */
function kernelOffsets(libc: Libc, action: string): KernelOffsets {
  const bytes = readFile(libc, BTF_PATH, BTF_LIMIT_BYTES);
  if (typeof bytes === "number") throw new SyscallError(action, `open of ${BTF_PATH}`, -bytes);
  const btf = new Btf(bytes);
  const offset = (structure: string, member: string): number => {
    const found = btf.memberOffset(structure, member);
    if (found === undefined || found > 0x7fff) throw new DecodeError(`${structure}.${member} in BTF`, 0, 0);
    return found;
  };
  const mmArgStart = offset("mm_struct", "arg_start");
  // The program reads both in one go.
  if (offset("mm_struct", "arg_end") !== mmArgStart + 8) {
    throw new DecodeError("mm_struct.arg_end in BTF", 0, 0);
  }
  return {
    taskMm: offset("task_struct", "mm"),
    mmArgStart,
    bprmFilename: offset("linux_binprm", "filename"),
  };
}

/**
 * The program: at every exec it fills a record and pushes it on the queue. The tracepoint comes just before the exec's
 * process event, on the same processor: whoever has the event finds its record in the queue. The new stack is in place
 * then, and the arguments have just been copied to it.
 */
function recordingProgram(scratchFd: number, queueFd: number, at: KernelOffsets): EbpfStep[] {
  const R = EXEC_RECORD;
  return [
    // r6 = the tracepoint's arguments: the task, its former pid, its linux_binprm
    { op: "move", to: 6, from: 1 },
    // r8 = the record, in the place of this processor
    { op: "storeValue", to: 10, offset: -4, value: 0, bytes: 4 },
    { op: "loadMap", to: 1, fd: scratchFd },
    { op: "move", to: 2, from: 10 },
    { op: "add", to: 2, value: -4 },
    { op: "call", helper: BPF_FUNC_map_lookup_elem },
    { op: "jumpIf", register: 0, test: "==", value: 0, label: "end" },
    { op: "move", to: 8, from: 0 },
    // who, and when
    { op: "call", helper: BPF_FUNC_get_current_pid_tgid },
    { op: "store", to: 8, offset: R.pidTgid, from: 0, bytes: 8 },
    { op: "call", helper: BPF_FUNC_ktime_get_ns },
    { op: "store", to: 8, offset: R.timestampNs, from: 0, bytes: 8 },
    { op: "call", helper: BPF_FUNC_get_current_uid_gid },
    { op: "store", to: 8, offset: R.uidGid, from: 0, bytes: 8 },
    // a number in each processor's sequence, by which missing records are seen
    { op: "call", helper: BPF_FUNC_get_smp_processor_id },
    { op: "store", to: 8, offset: R.cpu, from: 0, bytes: 4 },
    { op: "load", to: 1, from: 8, offset: R.seq, bytes: 4 },
    { op: "add", to: 1, value: 1 },
    { op: "store", to: 8, offset: R.seq, from: 1, bytes: 4 },
    // r9 = linux_binprm.filename; the path as it was given
    { op: "load", to: 3, from: 6, offset: 16, bytes: 8 },
    { op: "add", to: 3, value: at.bprmFilename },
    { op: "move", to: 1, from: 10 },
    { op: "add", to: 1, value: -16 },
    { op: "set", to: 2, value: 8 },
    { op: "call", helper: BPF_FUNC_probe_read_kernel },
    { op: "load", to: 3, from: 10, offset: -16, bytes: 8 },
    { op: "move", to: 1, from: 8 },
    { op: "add", to: 1, value: R.path },
    { op: "set", to: 2, value: PATH_BYTES },
    { op: "call", helper: BPF_FUNC_probe_read_kernel_str },
    { op: "store", to: 8, offset: R.pathBytes, from: 0, bytes: 4 },
    // r9 = task->mm
    { op: "load", to: 3, from: 6, offset: 0, bytes: 8 },
    { op: "add", to: 3, value: at.taskMm },
    { op: "move", to: 1, from: 10 },
    { op: "add", to: 1, value: -16 },
    { op: "set", to: 2, value: 8 },
    { op: "call", helper: BPF_FUNC_probe_read_kernel },
    { op: "load", to: 9, from: 10, offset: -16, bytes: 8 },
    // arg_start and arg_end
    { op: "move", to: 1, from: 10 },
    { op: "add", to: 1, value: -32 },
    { op: "set", to: 2, value: 16 },
    { op: "move", to: 3, from: 9 },
    { op: "add", to: 3, value: at.mmArgStart },
    { op: "call", helper: BPF_FUNC_probe_read_kernel },
    { op: "load", to: 3, from: 10, offset: -32, bytes: 8 },
    { op: "load", to: 2, from: 10, offset: -24, bytes: 8 },
    { op: "subtract", to: 2, from: 3 },
    { op: "store", to: 8, offset: R.argBytes, from: 2, bytes: 8 },
    { op: "jumpIf", register: 2, test: "<=", value: RECORD_ARG_BYTES, label: "fits" },
    { op: "set", to: 2, value: RECORD_ARG_BYTES },
    { op: "label", name: "fits" },
    { op: "move", to: 1, from: 8 },
    { op: "add", to: 1, value: R.args },
    { op: "call", helper: BPF_FUNC_probe_read_user },
    { op: "store", to: 8, offset: R.argError, from: 0, bytes: 4 },
    { op: "loadMap", to: 1, fd: queueFd },
    { op: "move", to: 2, from: 8 },
    { op: "set", to: 3, value: BPF_EXIST },
    { op: "call", helper: BPF_FUNC_map_push_elem },
    { op: "label", name: "end" },
    { op: "set", to: 0, value: 0 },
    { op: "exit" },
  ];
}

/** Decodes a record; nothing in it is trusted. Undefined for one that cannot be what the program wrote. */
export function decodeExecRecord(bytes: Uint8Array): ExecRecord | undefined {
  const R = EXEC_RECORD;
  if (bytes.length < R.SIZE) return undefined;
  const view = viewOf(bytes);
  const pid = view.getUint32(R.pidTgid + (LITTLE ? 4 : 0), LITTLE);
  if (pid === 0) return undefined;
  const uidGid = view.getBigUint64(R.uidGid, LITTLE);
  const argBytes = Number(view.getBigUint64(R.argBytes, LITTLE));
  const pathBytes = view.getInt32(R.pathBytes, LITTLE);
  const readable = view.getInt32(R.argError, LITTLE) === 0;
  const got = Math.min(argBytes, RECORD_ARG_BYTES);
  return {
    pid,
    uid: Number(uidGid & 0xffff_ffffn),
    gid: Number(uidGid >> 32n),
    timestampNs: view.getBigUint64(R.timestampNs, LITTLE),
    args: readable ? splitArguments(bytes, R.args, R.args + got) : undefined,
    argBytes,
    truncated: argBytes > RECORD_ARG_BYTES,
    path: pathBytes > 1 && pathBytes < PATH_BYTES
      ? decodeText(bytes, R.path, R.path + pathBytes - 1)
      : undefined,
  };
}

/** The texts in `bytes[at, end)`, each ended by a NUL; the last may lack it. */
function splitArguments(bytes: Uint8Array, at: number, end: number): string[] {
  const args: string[] = [];
  while (at < end) {
    const nul = bytes.indexOf(0, at);
    const stop = nul < 0 || nul > end ? end : nul;
    args.push(decodeText(bytes, at, stop));
    at = stop + 1;
  }
  return args;
}

/**
 * Records every exec of the machine inside the kernel: an eBPF program at the tracepoint `sched_process_exec` hands over
 * the arguments at the moment when they are in place, so that no race against the end of the process decides whether
 * they are known.
 *
 * The kernel keeps program and maps for as long as somebody holds their descriptors: nothing stays behind, however the
 * process ends.
 */
export class ExecRecorder implements Disposable {
  readonly #libc: Libc;
  readonly #fds: readonly number[];
  readonly #queue: QueueReader;
  readonly #nextSeq: (number | undefined)[] = [];
  #closed = false;
  /** Records that were overwritten in the kernel's queue before they could be read, as far as later ones have shown. */
  overwritten = 0;

  private constructor(libc: Libc, fds: readonly number[], queueFd: number) {
    this.#libc = libc;
    this.#fds = fds;
    this.#queue = new QueueReader(libc, queueFd, EXEC_RECORD.SIZE);
  }

  /**
   * Loads the program and attaches it.
   *
   * @param action completes "Cannot …" in the errors.
   * @throws {SyscallError} Where the kernel refuses: EPERM without CAP_BPF and CAP_PERFMON, under lockdown or seccomp.
   * @throws {DecodeError} Where the kernel's BTF lacks what the program needs.
   */
  static open(libc: Libc, action: string): ExecRecorder {
    const fds: number[] = [];
    const hold = (fd: number): number => {
      fds.push(fd);
      return fd;
    };
    try {
      const offsets = kernelOffsets(libc, action);
      const valueBytes = EXEC_RECORD.SIZE;
      const map = (type: number, keyBytes: number, entries: number): number =>
        hold(createMap(libc, { type, keyBytes, valueBytes, entries }, action));
      const scratchFd = map(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1);
      const queueFd = map(BPF_MAP_TYPE_QUEUE, 0, QUEUE_ENTRIES);
      const program = recordingProgram(scratchFd, queueFd, offsets);
      const programFd = hold(loadRawTracepointProgram(libc, program, "cn_exec_record", action));
      hold(attachRawTracepoint(libc, programFd, TRACEPOINT, action));
      return new ExecRecorder(libc, fds, queueFd);
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      throw error;
    }
  }

  /**
   * Takes out of the queue what is in it.
   *
   * @returns 0, or the error number of a call that failed.
   */
  read(sink: ExecRecordSink): number {
    if (this.#closed) return 0;
    const { value } = this.#queue;
    const view = viewOf(value);
    for (let count = 0; count < MAX_READ; count++) {
      const result = this.#queue.pop();
      if (result === -ERRNO.ENOENT!) return 0;
      if (result < 0) return -result;
      this.#noteSequence(view.getUint32(EXEC_RECORD.cpu, LITTLE), view.getUint32(EXEC_RECORD.seq, LITTLE));
      const record = decodeExecRecord(value);
      if (record !== undefined) sink(record);
    }
    return 0;
  }

  /** Detaches the program. A second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of this.#fds) this.#libc.close(fd);
  }

  #noteSequence(cpu: number, seq: number): void {
    const expected = this.#nextSeq[cpu] ?? 1;
    this.#nextSeq[cpu] = (seq + 1) >>> 0;
    const gap = (seq - expected) >>> 0;
    if (gap < 0x8000_0000) this.overwritten += gap;
  }
}
