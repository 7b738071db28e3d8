import { O_CLOEXEC, O_RDONLY } from "../../ffi/constants.ts";
import type { Libc } from "../../ffi/libc.ts";
import type { EbpfStep } from "../bpf/assembler.ts";
import {
  attachRawTracepoint,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  createMap,
  loadRawTracepointProgram,
  runRawTracepointProgram,
} from "../bpf/bpf.ts";
import { Btf } from "../bpf/btf.ts";
import { RingBuffer } from "../bpf/ring_buffer.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { ERRNO } from "../errors/errno.ts";
import { check, SyscallError } from "../errors/syscall_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { encodeCString } from "../wire/text.ts";
import {
  decodeExecRecord,
  EXEC_RECORD,
  type ExecRecord,
  MAX_RECORD_BYTES,
  RECORD_ARG_BYTES,
  RECORD_COMM_BYTES,
  RECORD_PATH_BYTES,
  RECORD_ROOT_BYTES,
} from "./exec_record.ts";

/** Receives records, in the order of the execs on each processor. */
export type ExecRecordSink = (record: ExecRecord) => void;

/** Bytes of the ring: it holds at least 850 records, and 30,000 of ordinary commands. */
const RING_BYTES = 4 << 20;

/** The name in lists of eBPF programs. */
const PROGRAM_NAME = "cn_exec_record";
const TRACEPOINT = "sched_process_exec";
/** Its arguments: the task, its former pid, its linux_binprm. */
const TRACEPOINT_ARGUMENTS = 3;
const BTF_PATH = "/sys/kernel/btf/vmlinux";

/** `struct rlimit` in include/uapi/linux/resource.h. */
const RLIMIT = { rlim_cur: 0, rlim_max: 8, SIZE: 16 } as const;
const RLIMIT_MEMLOCK = 8;
const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn;

// Helper functions, `enum bpf_func_id` in include/uapi/linux/bpf.h.
const BPF_FUNC_map_lookup_elem = 1;
const BPF_FUNC_ktime_get_ns = 5;
const BPF_FUNC_get_smp_processor_id = 8;
const BPF_FUNC_get_current_pid_tgid = 14;
const BPF_FUNC_get_current_uid_gid = 15;
const BPF_FUNC_get_current_comm = 16;
const BPF_FUNC_get_current_task = 35;
const BPF_FUNC_probe_read_user = 112;
const BPF_FUNC_probe_read_kernel = 113;
const BPF_FUNC_probe_read_kernel_str = 115;
const BPF_FUNC_ringbuf_output = 130;
/** `ringbuf_output`: nobody waits for records, so nobody is woken. */
const BPF_RB_NO_WAKEUP = 1;

/** Offsets of what the program reads in this kernel's structures. */
interface KernelOffsets {
  readonly taskMm: number;
  readonly taskFs: number;
  /** Of `root`, a `struct path` of two pointers. */
  readonly fsRoot: number;
  /** Of `start_stack`; `arg_start` and `arg_end` follow. */
  readonly mmStartStack: number;
  /** Of `filename`; `interp` follows. */
  readonly bprmFilename: number;
}

/** Cached: they do not change while the kernel runs. */
const knownOffsets = new WeakMap<Libc, KernelOffsets>();

/** Reads the offsets from the kernel's BTF. */
function kernelOffsets(libc: Libc, action: string): KernelOffsets {
  let offsets = knownOffsets.get(libc);
  if (offsets !== undefined) return offsets;
  const fd = check(libc.open(encodeCString(BTF_PATH), O_RDONLY | O_CLOEXEC), action, `open of ${BTF_PATH}`);
  try {
    offsets = readOffsets(
      new Btf((into, at) => check(libc.pread(fd, into, into.length, at), action, `read of ${BTF_PATH}`)),
    );
  } finally {
    libc.close(fd);
  }
  knownOffsets.set(libc, offsets);
  return offsets;
}

function readOffsets(btf: Btf): KernelOffsets {
  /** The offset of the first of several adjacent members of eight bytes, which are read at once. */
  const offset = (structure: string, ...members: readonly string[]): number => {
    const first = btf.memberOffset(structure, members[0]!);
    if (first === undefined || first > 0x7fff) throw noSuchMember(structure, members[0]!);
    for (const [i, member] of members.entries()) {
      if (btf.memberOffset(structure, member) !== first + 8 * i) throw noSuchMember(structure, member);
    }
    return first;
  };
  return {
    taskMm: offset("task_struct", "mm"),
    taskFs: offset("task_struct", "fs"),
    fsRoot: offset("fs_struct", "root"),
    mmStartStack: offset("mm_struct", "start_stack", "arg_start", "arg_end"),
    bprmFilename: offset("linux_binprm", "filename", "interp"),
  };
}

function noSuchMember(structure: string, member: string): DecodeError {
  return new DecodeError(`${structure}.${member} in BTF`, 0, 0);
}

/**
 * The program: at every exec it fills a record and appends it to the ring. The tracepoint runs just before the process
 * event is sent, on the same processor, so the record of a received event is in the ring. At that point the new stack is
 * in place and holds the arguments.
 */
function recordingProgram(scratchFd: number, ringFd: number, at: KernelOffsets): EbpfStep[] {
  const R = EXEC_RECORD;
  return [
    // r6 = the tracepoint's arguments
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
    { op: "move", to: 1, from: 8 },
    { op: "add", to: 1, value: R.comm },
    { op: "set", to: 2, value: RECORD_COMM_BYTES },
    { op: "call", helper: BPF_FUNC_get_current_comm },
    // filename and interp of the linux_binprm: the path as it was given, and whether another program runs it
    { op: "load", to: 3, from: 6, offset: 16, bytes: 8 },
    { op: "add", to: 3, value: at.bprmFilename },
    ...readKernel(-16, 16),
    { op: "load", to: 3, from: 10, offset: -16, bytes: 8 },
    { op: "load", to: 1, from: 10, offset: -8, bytes: 8 },
    { op: "move", to: 2, from: 3 },
    { op: "subtract", to: 2, from: 1 },
    { op: "store", to: 8, offset: R.interpreted, from: 2, bytes: 8 },
    { op: "move", to: 1, from: 8 },
    { op: "add", to: 1, value: R.text },
    { op: "set", to: 2, value: RECORD_PATH_BYTES },
    { op: "call", helper: BPF_FUNC_probe_read_kernel_str },
    // r9 = its length with the NUL; an error is a large number
    { op: "move", to: 9, from: 0 },
    { op: "jumpIf", register: 9, test: "<=", value: RECORD_PATH_BYTES, label: "path" },
    { op: "set", to: 9, value: 0 },
    { op: "label", name: "path" },
    { op: "store", to: 8, offset: R.pathBytes, from: 9, bytes: 4 },
    // r7 = the task; its fs->root
    { op: "call", helper: BPF_FUNC_get_current_task },
    { op: "move", to: 7, from: 0 },
    { op: "move", to: 3, from: 7 },
    { op: "add", to: 3, value: at.taskFs },
    ...readKernel(-16, 8),
    { op: "load", to: 3, from: 10, offset: -16, bytes: 8 },
    { op: "add", to: 3, value: at.fsRoot },
    { op: "move", to: 1, from: 8 },
    { op: "add", to: 1, value: R.root },
    { op: "set", to: 2, value: RECORD_ROOT_BYTES },
    { op: "call", helper: BPF_FUNC_probe_read_kernel },
    // task->mm, and its start_stack, arg_start and arg_end
    { op: "move", to: 3, from: 7 },
    { op: "add", to: 3, value: at.taskMm },
    ...readKernel(-16, 8),
    { op: "load", to: 3, from: 10, offset: -16, bytes: 8 },
    { op: "add", to: 3, value: at.mmStartStack },
    ...readKernel(-32, 24),
    { op: "load", to: 1, from: 10, offset: -32, bytes: 8 },
    { op: "store", to: 8, offset: R.stackStart, from: 1, bytes: 8 },
    { op: "load", to: 3, from: 10, offset: -24, bytes: 8 },
    { op: "load", to: 7, from: 10, offset: -16, bytes: 8 },
    { op: "subtract", to: 7, from: 3 },
    { op: "store", to: 8, offset: R.argBytes, from: 7, bytes: 8 },
    // r7 = the length of the arguments, as much as there is room for
    { op: "jumpIf", register: 7, test: "<=", value: RECORD_ARG_BYTES, label: "fits" },
    { op: "set", to: 7, value: RECORD_ARG_BYTES },
    { op: "label", name: "fits" },
    { op: "move", to: 1, from: 8 },
    { op: "addRegister", to: 1, from: 9 },
    { op: "add", to: 1, value: R.text },
    { op: "move", to: 2, from: 7 },
    { op: "call", helper: BPF_FUNC_probe_read_user },
    { op: "store", to: 8, offset: R.argError, from: 0, bytes: 4 },
    { op: "loadMap", to: 1, fd: ringFd },
    { op: "move", to: 2, from: 8 },
    { op: "move", to: 3, from: 9 },
    { op: "addRegister", to: 3, from: 7 },
    { op: "add", to: 3, value: R.text },
    { op: "set", to: 4, value: BPF_RB_NO_WAKEUP },
    { op: "call", helper: BPF_FUNC_ringbuf_output },
    { op: "label", name: "end" },
    { op: "set", to: 0, value: 0 },
    { op: "exit" },
  ];
}

/** Reads `bytes` of the kernel's memory at r3 into the stack; zeros if they cannot be read. */
function readKernel(stack: number, bytes: number): EbpfStep[] {
  return [
    { op: "move", to: 1, from: 10 },
    { op: "add", to: 1, value: stack },
    { op: "set", to: 2, value: bytes },
    { op: "call", helper: BPF_FUNC_probe_read_kernel },
  ];
}

/**
 * Records every exec of the machine inside the kernel: an eBPF program at the tracepoint `sched_process_exec` copies the
 * arguments as soon as they are in place. So they are known however short the process lives.
 *
 * The kernel keeps program and maps while their descriptors are open: nothing is left, however this process ends.
 */
export class ExecRecorder implements Disposable {
  readonly #libc: Libc;
  readonly #fds: readonly number[];
  readonly #ring: RingBuffer;
  readonly #nextSeq: (number | undefined)[] = [];
  /** Unknown where the kernel does not run programs on request. */
  #ownRoot: DataView | undefined;
  #closed = false;
  /** Records for which the ring had no room, as far as gaps in the sequence of later ones show. */
  dropped = 0;

  private constructor(libc: Libc, fds: readonly number[], ring: RingBuffer) {
    this.#libc = libc;
    this.#fds = fds;
    this.#ring = ring;
  }

  /**
   * Loads the program and attaches it.
   *
   * @param action completes "Cannot …" in the errors.
   * @throws {SyscallError} If the kernel refuses: EPERM without CAP_BPF and CAP_PERFMON, under lockdown or seccomp.
   * @throws {DecodeError} If the kernel's BTF lacks what the program needs.
   */
  static open(libc: Libc, action: string): ExecRecorder {
    try {
      return ExecRecorder.#load(libc, action);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== ERRNO.EPERM) throw error;
      // Before Linux 5.11 maps are charged to RLIMIT_MEMLOCK, and too much of that is EPERM as well.
      const restore = raiseMemoryLimit(libc);
      if (restore === undefined) throw error;
      try {
        return ExecRecorder.#load(libc, action);
      } finally {
        restore();
      }
    }
  }

  static #load(libc: Libc, action: string): ExecRecorder {
    // First what most users are refused: reading the offsets takes some milliseconds.
    const ring = new RingBuffer(libc, RING_BYTES, MAX_RECORD_BYTES, action);
    const fds: number[] = [];
    const hold = (fd: number): number => {
      fds.push(fd);
      return fd;
    };
    try {
      const scratch = {
        type: BPF_MAP_TYPE_PERCPU_ARRAY,
        keyBytes: 4,
        valueBytes: MAX_RECORD_BYTES,
        entries: 1,
      };
      const scratchFd = hold(createMap(libc, scratch, action));
      const program = recordingProgram(scratchFd, ring.fd, kernelOffsets(libc, action));
      const programFd = hold(loadRawTracepointProgram(libc, program, PROGRAM_NAME, action));
      const recorder = new ExecRecorder(libc, fds, ring);
      recorder.#readOwnRoot(programFd);
      hold(attachRawTracepoint(libc, programFd, TRACEPOINT, action));
      return recorder;
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      ring[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Hands over what has been recorded since the last call.
   *
   * @param hasText As {@linkcode decodeExecRecord} has it.
   */
  read(sink: ExecRecordSink, hasText: boolean = true): void {
    if (this.#closed) return;
    const { records, view } = this.#ring;
    this.#ring.read((at, length) => {
      const decoded = decodeExecRecord(records, at, length, view, this.#ownRoot, hasText);
      if (decoded === undefined) return;
      this.#noteSequence(view, at);
      sink(decoded);
    });
  }

  /** Detaches the program. A second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fd of this.#fds) this.#libc.close(fd);
    this.#ring[Symbol.dispose]();
  }

  /** Runs the program once, before it is attached: the record is of ourselves, and has our root directory. */
  #readOwnRoot(programFd: number): void {
    if (runRawTracepointProgram(this.#libc, programFd, TRACEPOINT_ARGUMENTS) < 0) return;
    const { records, view } = this.#ring;
    this.#ring.read((at) => {
      this.#noteSequence(view, at);
      const rootAt = at + EXEC_RECORD.root;
      this.#ownRoot = viewOf(records.slice(rootAt, rootAt + RECORD_ROOT_BYTES));
    });
  }

  #noteSequence(view: DataView, at: number): void {
    const cpu = view.getUint32(at + EXEC_RECORD.cpu, LITTLE);
    const seq = view.getUint32(at + EXEC_RECORD.seq, LITTLE);
    const expected = this.#nextSeq[cpu] ?? 1;
    this.#nextSeq[cpu] = (seq + 1) >>> 0;
    const gap = (seq - expected) >>> 0;
    if (gap < 0x8000_0000) this.dropped += gap;
  }
}

/** Raises RLIMIT_MEMLOCK of this process. Returns a function that restores it, or undefined if that is refused. */
function raiseMemoryLimit(libc: Libc): (() => void) | undefined {
  const limit = fixedBytes(RLIMIT.SIZE);
  const before = fixedBytes(RLIMIT.SIZE);
  viewOf(limit).setBigUint64(RLIMIT.rlim_cur, RLIM_INFINITY, LITTLE);
  viewOf(limit).setBigUint64(RLIMIT.rlim_max, RLIM_INFINITY, LITTLE);
  if (libc.prlimit(0, RLIMIT_MEMLOCK, limit, before) < 0) return undefined;
  return () => libc.prlimit(0, RLIMIT_MEMLOCK, before, limit);
}
