import { TASKSTATS } from "../../lib/taskstats/taskstats.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";

/** `struct taskstats` of version 16, as Linux 6.18 sends it. */
const STRUCT_BYTES = 560;

function attribute(type: number, ...values: Uint8Array[]): Uint8Array {
  const length = 4 + values.reduce((sum, value) => sum + value.length, 0);
  const bytes = new Uint8Array((length + 3) & ~3);
  viewOf(bytes).setUint16(0, length, LITTLE);
  viewOf(bytes).setUint16(2, type, LITTLE);
  let at = 4;
  for (const value of values) {
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

function aggregate(type: number, idType: number, id: number, scheduledNs: bigint): Uint8Array {
  const number = new Uint8Array(4);
  viewOf(number).setUint32(0, id, LITTLE);
  const stats = new Uint8Array(STRUCT_BYTES);
  viewOf(stats).setUint16(TASKSTATS.version, 16, LITTLE);
  viewOf(stats).setBigUint64(TASKSTATS.cpu_run_virtual_total, scheduledNs, LITTLE);
  return attribute(type, attribute(idType, number), attribute(3, stats));
}

/** The attributes of the message for the last thread of a process: its own statistics, and those of the process. */
export function taskAttributes(tid: number, ofTaskNs: bigint, ofGroupNs: bigint): Uint8Array {
  const task = aggregate(4, 1, tid, ofTaskNs);
  const group = aggregate(5, 2, tid, ofGroupNs);
  const bytes = new Uint8Array(task.length + group.length);
  bytes.set(task);
  bytes.set(group, task.length);
  return bytes;
}
