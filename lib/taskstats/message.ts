import { visitAttributes } from "../netlink/generic.ts";
import { LITTLE } from "../wire/bytes.ts";
import { decodeTaskstats, type Taskstats } from "./taskstats.ts";

/** Of include/uapi/linux/taskstats.h. */
const TASKSTATS_TYPE_PID = 1;
const TASKSTATS_TYPE_STATS = 3;
const TASKSTATS_TYPE_AGGR_PID = 4;
const TASKSTATS_TYPE_AGGR_TGID = 5;

/** Called for every task that ended: its tid, and for the last of several threads what all of them took. */
export type OnTask = (tid: number, task: Taskstats, group: Taskstats | undefined) => void;

/**
 * Decodes the attributes of one message that the kernel sends when a task ends.
 *
 * @throws {DecodeError} If something does not fit.
 */
export function decodeTask(view: DataView, begin: number, end: number, onTask: OnTask): void {
  let tid: number | undefined;
  let task: Taskstats | undefined;
  let group: Taskstats | undefined;
  visitAttributes(view, begin, end, (aggregate, from, to) => {
    if (aggregate !== TASKSTATS_TYPE_AGGR_PID && aggregate !== TASKSTATS_TYPE_AGGR_TGID) return;
    visitAttributes(view, from, to, (type, at, valueEnd) => {
      if (type === TASKSTATS_TYPE_PID && valueEnd - at >= 4) tid = view.getUint32(at, LITTLE);
      if (type !== TASKSTATS_TYPE_STATS) return;
      const stats = decodeTaskstats(view, at, valueEnd);
      if (aggregate === TASKSTATS_TYPE_AGGR_PID) task = stats;
      else group = stats;
    });
  });
  if (tid !== undefined && task !== undefined) onTask(tid, task, group);
}
