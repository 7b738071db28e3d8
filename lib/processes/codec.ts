import { checkRange } from "../errors/arguments.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { decodeCString } from "../wire/text.ts";
import { fixedBytes, LITTLE, viewOf } from "../wire/bytes.ts";
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
  return readProcEvent(view, at, end, seq);
}

/** As {@linkcode decodeProcEvent}, for a range that is known to be inside the view. */
export function readProcEvent(
  view: DataView,
  at: number,
  end: number,
  seq: number,
): KernelProcessEvent | ProcAck {
  need(at, end, PROC_EVENT.event_data);
  const what = view.getUint32(at + PROC_EVENT.what, LITTLE);
  const cpu = view.getUint32(at + PROC_EVENT.cpu, LITTLE);
  const timestampNs = view.getBigUint64(at + PROC_EVENT.timestamp_ns, LITTLE);
  switch (what) {
    case PROC_EVENT_FORK: {
      const F = EVENT_DATA.fork;
      need(at, end, F.SIZE);
      const pid = view.getUint32(at + F.child_tgid, LITTLE);
      const tid = view.getUint32(at + F.child_pid, LITTLE);
      return {
        type: "fork",
        cpu,
        seq,
        timestampNs,
        parentPid: view.getUint32(at + F.parent_tgid, LITTLE),
        parentTid: view.getUint32(at + F.parent_pid, LITTLE),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
      };
    }
    case PROC_EVENT_EXIT: {
      const F = EVENT_DATA.exit;
      need(at, end, F.SIZE);
      const full = end - at >= F.FULL_SIZE;
      const pid = view.getUint32(at + F.process_tgid, LITTLE);
      const tid = view.getUint32(at + F.process_pid, LITTLE);
      const status = view.getUint32(at + F.exit_code, LITTLE);
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
        exitSignal: view.getUint32(at + F.exit_signal, LITTLE),
        parentPid: full ? view.getUint32(at + F.parent_tgid, LITTLE) : undefined,
        parentTid: full ? view.getUint32(at + F.parent_pid, LITTLE) : undefined,
        thread: pid !== tid,
      };
    }
    case PROC_EVENT_COMM: {
      const F = EVENT_DATA.comm;
      need(at, end, F.SIZE);
      const commAt = view.byteOffset + at + F.comm;
      return {
        type: "comm",
        cpu,
        seq,
        timestampNs,
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
        comm: decodeCString(bytesUnder(view), commAt, commAt + F.SIZE - F.comm),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
        realUid: view.getUint32(at + F.r, LITTLE),
        effectiveUid: view.getUint32(at + F.e, LITTLE),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
        realGid: view.getUint32(at + F.r, LITTLE),
        effectiveGid: view.getUint32(at + F.e, LITTLE),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
        tracerPid: view.getUint32(at + F.tracer_tgid, LITTLE),
        tracerTid: view.getUint32(at + F.tracer_pid, LITTLE),
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
        pid: view.getUint32(at + F.process_tgid, LITTLE),
        tid: view.getUint32(at + F.process_pid, LITTLE),
        parentPid: full ? view.getUint32(at + F.parent_tgid, LITTLE) : undefined,
        parentTid: full ? view.getUint32(at + F.parent_pid, LITTLE) : undefined,
      };
    }
    case PROC_EVENT_NONE:
      need(at, end, EVENT_DATA.ack.SIZE);
      return { type: "ack", cpu, seq, timestampNs, errno: view.getUint32(at + EVENT_DATA.ack.err, LITTLE) };
    default: {
      const start = view.byteOffset + at;
      return {
        type: "unknown",
        cpu,
        seq,
        timestampNs,
        what,
        data: bytesUnder(view).slice(start, start + end - at),
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

/** The bytes of the whole buffer under a view, made once for each: a view for every event would cost more than it. */
let lastBuffer: ArrayBufferLike | undefined;
let lastBytes: Uint8Array = new Uint8Array(0);
function bytesUnder(view: DataView): Uint8Array {
  if (view.buffer !== lastBuffer) {
    lastBuffer = view.buffer;
    lastBytes = new Uint8Array(view.buffer);
  }
  return lastBytes;
}
