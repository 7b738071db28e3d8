import { checkRange } from "../errors/arguments.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { decodeCString } from "../wire/text.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
import { type Memory, memoryOf } from "../wire/memory.ts";
import {
  PROC_EVENT_COMM,
  PROC_EVENT_COREDUMP,
  PROC_EVENT_EXEC,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_GID,
  PROC_EVENT_NONE,
  PROC_EVENT_PTRACE,
  PROC_EVENT_SID,
  PROC_EVENT_UID,
} from "./constants.ts";
import type { ExitEvent, KernelProcessEvent } from "./event.ts";
import { signalName } from "./signals.ts";

/** Byte offsets in `struct proc_event`; the union begins at `event_data`. */
export const PROC_EVENT = { what: 0, cpu: 4, timestamp_ns: 8, event_data: 16 } as const;

/** Byte offsets of the members of the union `event_data`, from the start of `struct proc_event`; SIZE ends each. */
export const EVENT_DATA = {
  ack: { err: 16, SIZE: 20 },
  fork: { parent_pid: 16, parent_tgid: 20, child_pid: 24, child_tgid: 28, SIZE: 32 },
  exec: { process_pid: 16, process_tgid: 20, SIZE: 24 },
  id: { process_pid: 16, process_tgid: 20, r: 24, e: 28, SIZE: 32 },
  sid: { process_pid: 16, process_tgid: 20, SIZE: 24 },
  ptrace: { process_pid: 16, process_tgid: 20, tracer_pid: 24, tracer_tgid: 28, SIZE: 32 },
  comm: { process_pid: 16, process_tgid: 20, comm: 24, SIZE: 40 },
  // The union had 16 bytes before kernel 3.2, which ends at SIZE; the parent's fields are filled since 4.18.
  coredump: { process_pid: 16, process_tgid: 20, SIZE: 24, parent_pid: 24, parent_tgid: 28, FULL_SIZE: 32 },
  exit: {
    process_pid: 16,
    process_tgid: 20,
    exit_code: 24,
    exit_signal: 28,
    SIZE: 32,
    parent_pid: 32,
    parent_tgid: 36,
    FULL_SIZE: 40,
  },
} as const;

/** Size of `struct proc_input` with a filter, which kernels know since 6.6, and without. */
export const PROC_INPUT = { mcast_op: 0, SIZE: 4, event_type: 4, FULL_SIZE: 8 } as const;

/** The payload of a LISTEN or IGNORE: 4 bytes, or 8 with the mask of events that the kernel shall send. */
export function encodeProcInput(op: number, mask?: number): Uint8Array {
  const bytes = fixedBytes(mask === undefined ? PROC_INPUT.SIZE : PROC_INPUT.FULL_SIZE);
  viewOf(bytes).setUint32(PROC_INPUT.mcast_op, op, LITTLE);
  if (mask !== undefined) viewOf(bytes).setUint32(PROC_INPUT.event_type, mask, LITTLE);
  return bytes;
}

/**
 * Reads a LISTEN or IGNORE, `struct proc_input`, in its short or its long form.
 *
 * @throws {DecodeError} When it is too short to be either.
 */
export function decodeProcInput(
  data: Uint8Array,
): { readonly op: number; readonly mask: number | undefined } {
  need(0, data.length, PROC_INPUT.SIZE);
  const view = viewOf(data);
  return {
    op: view.getUint32(PROC_INPUT.mcast_op, LITTLE),
    mask: data.length < PROC_INPUT.FULL_SIZE ? undefined : view.getUint32(PROC_INPUT.event_type, LITTLE),
  };
}

/** The kernel's answer to a LISTEN or IGNORE: an error number, 0 for none. */
export interface ProcAck {
  /** No event: an acknowledgement. */
  readonly type: "ack";
  /** The processor that made it. */
  readonly cpu: number;
  /** The processor's own sequence number, of which acknowledgements take one too. */
  readonly seq: number;
  /** When, CLOCK_MONOTONIC, in nanoseconds. */
  readonly timestampNs: bigint;
  /** Positive, or 0 for none. */
  readonly errno: number;
}

/**
 * Reads a `struct proc_event` at `at`, by its length in the message rather than a constant: it was 32 bytes before
 * kernel 3.2, is 40 today and may grow.
 *
 * @param seq The `seq` of the connector message around it.
 * @throws {DecodeError} When the bytes up to `end` are shorter than the event's kind needs.
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeProcEvent } from "kernel-connector/codec";
 *
 * const bytes = new DataView(new ArrayBuffer(40));
 * bytes.setUint32(0, 0x80000000, true); // PROC_EVENT_EXIT
 * bytes.setUint32(16, 4711, true); // process_pid
 * bytes.setUint32(20, 4711, true); // process_tgid
 * bytes.setUint32(24, 9, true); // exit_code
 * const event = decodeProcEvent(bytes, 0, 40, 1);
 * assert(event.type === "exit" && event.pid === 4711 && event.signal === "SIGKILL" && event.exitCode === null);
 * ```
 */
export function decodeProcEvent(
  view: DataView,
  at: number,
  end: number,
  seq: number,
): KernelProcessEvent | ProcAck {
  checkRange(view, at, end, "decode proc_event");
  return readProcEvent(alignedCopy(view, at, end), 0, end - at, seq);
}

/** Reads a `struct proc_event` in memory at a multiple of 8 bytes; see {@linkcode decodeProcEvent}. */
export function readProcEvent(
  { bytes, words, longs }: Memory,
  at: number,
  end: number,
  seq: number,
): KernelProcessEvent | ProcAck {
  need(at, end, PROC_EVENT.event_data);
  const what = words[(at + PROC_EVENT.what) >>> 2]!;
  const cpu = words[(at + PROC_EVENT.cpu) >>> 2]!;
  const timestampNs = longs[(at + PROC_EVENT.timestamp_ns) >>> 3]!;
  switch (what) {
    case PROC_EVENT_FORK: {
      const F = EVENT_DATA.fork;
      need(at, end, F.SIZE);
      const pid = words[(at + F.child_tgid) >>> 2]!;
      const tid = words[(at + F.child_pid) >>> 2]!;
      return {
        type: "fork",
        cpu,
        seq,
        timestampNs,
        parentPid: words[(at + F.parent_tgid) >>> 2]!,
        parentTid: words[(at + F.parent_pid) >>> 2]!,
        pid,
        tid,
        thread: pid !== tid,
      };
    }
    case PROC_EVENT_EXEC: {
      const F = EVENT_DATA.exec;
      need(at, end, F.SIZE);
      return {
        type: "exec",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
      };
    }
    case PROC_EVENT_EXIT: {
      const F = EVENT_DATA.exit;
      need(at, end, F.SIZE);
      const full = end - at >= F.FULL_SIZE;
      const pid = words[(at + F.process_tgid) >>> 2]!;
      const tid = words[(at + F.process_pid) >>> 2]!;
      const status = words[(at + F.exit_code) >>> 2]!;
      const signal = status & 0x7f;
      // Written out: this is one of the two hottest paths, and a spread costs more than all the rest.
      return {
        type: "exit",
        cpu,
        seq,
        timestampNs,
        pid,
        tid,
        status,
        exitCode: signal === 0 ? (status >>> 8) & 0xff : null,
        signal: signal === 0 ? null : signalName(signal),
        coreDumped: (status & 0x80) !== 0,
        exitSignal: words[(at + F.exit_signal) >>> 2]!,
        parentPid: full ? words[(at + F.parent_tgid) >>> 2]! : undefined,
        parentTid: full ? words[(at + F.parent_pid) >>> 2]! : undefined,
        thread: pid !== tid,
      };
    }
    case PROC_EVENT_COMM: {
      const F = EVENT_DATA.comm;
      need(at, end, F.SIZE);
      return {
        type: "comm",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
        comm: decodeCString(bytes, at + F.comm, at + F.SIZE),
      };
    }
    case PROC_EVENT_UID: {
      const F = EVENT_DATA.id;
      need(at, end, F.SIZE);
      return {
        type: "uid",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
        realUid: words[(at + F.r) >>> 2]!,
        effectiveUid: words[(at + F.e) >>> 2]!,
      };
    }
    case PROC_EVENT_GID: {
      const F = EVENT_DATA.id;
      need(at, end, F.SIZE);
      return {
        type: "gid",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
        realGid: words[(at + F.r) >>> 2]!,
        effectiveGid: words[(at + F.e) >>> 2]!,
      };
    }
    case PROC_EVENT_SID: {
      const F = EVENT_DATA.sid;
      need(at, end, F.SIZE);
      return {
        type: "sid",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
      };
    }
    case PROC_EVENT_PTRACE: {
      const F = EVENT_DATA.ptrace;
      need(at, end, F.SIZE);
      return {
        type: "ptrace",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
        tracerPid: words[(at + F.tracer_tgid) >>> 2]!,
        tracerTid: words[(at + F.tracer_pid) >>> 2]!,
      };
    }
    case PROC_EVENT_COREDUMP: {
      const F = EVENT_DATA.coredump;
      need(at, end, F.SIZE);
      const full = end - at >= F.FULL_SIZE;
      return {
        type: "coredump",
        cpu,
        seq,
        timestampNs,
        pid: words[(at + F.process_tgid) >>> 2]!,
        tid: words[(at + F.process_pid) >>> 2]!,
        parentPid: full ? words[(at + F.parent_tgid) >>> 2]! : undefined,
        parentTid: full ? words[(at + F.parent_pid) >>> 2]! : undefined,
      };
    }
    case PROC_EVENT_NONE: {
      need(at, end, EVENT_DATA.ack.SIZE);
      return {
        type: "ack",
        cpu,
        seq,
        timestampNs,
        errno: words[(at + EVENT_DATA.ack.err) >>> 2]!,
      };
    }
    default: {
      return {
        type: "unknown",
        cpu,
        seq,
        timestampNs,
        what,
        data: bytes.slice(at, end),
      };
    }
  }
}

/** The parts of a raw wait status; null if it is unknown. */
export function exitStatusFields(
  status: number | null,
): Pick<ExitEvent, "status" | "exitCode" | "signal" | "coreDumped"> {
  if (status === null) return { status, exitCode: null, signal: null, coreDumped: false };
  const signal = status & 0x7f;
  return {
    status,
    exitCode: signal === 0 ? (status >>> 8) & 0xff : null,
    signal: signal === 0 ? null : signalName(signal),
    coreDumped: (status & 0x80) !== 0,
  };
}

function need(at: number, end: number, bytes: number): void {
  if (end - at < bytes) throw new DecodeError("proc_event", bytes, end - at);
}

/** Where copies are made, one after the other: a buffer for each would cost more than all the rest. */
let copy: Memory | undefined;

function alignedCopy(view: DataView, at: number, end: number): Memory {
  const size = end - at;
  if (copy === undefined || copy.bytes.length < size) {
    copy = memoryOf(fixedBytes((Math.max(size, 64) + 7) & ~7));
  }
  for (let i = 0; i < size; i++) copy.bytes[i] = view.getUint8(at + i);
  return copy;
}
