import { CN_MSG } from "../connector/message.ts";
import { type BpfStep, hostWord } from "../netlink/bpf.ts";
import { NLMSGHDR } from "../netlink/message.ts";
import {
  PROC_EVENT_COMM,
  PROC_EVENT_EXIT,
  PROC_EVENT_FORK,
  PROC_EVENT_NONE,
  PROCESS_EVENT_TYPES,
} from "./constants.ts";
import {
  type CheckedFilter,
  MAX_BPF_PIDS,
  PAIR_KINDS,
  THREAD_KINDS,
  THREAD_LIFE_KINDS,
} from "./event_filter.ts";
import { EVENT_DATA, PROC_EVENT } from "./codec.ts";

/** Where a `struct proc_event` begins in a datagram. */
export const EVENT_AT: number = NLMSGHDR.SIZE + CN_MSG.SIZE;

const WHAT = EVENT_AT + PROC_EVENT.what;
/** Every kind but fork has its subject there; a fork has its parent. */
const SUBJECT_PID = EVENT_AT + EVENT_DATA.exec.process_tgid;
const SUBJECT_TID = EVENT_AT + EVENT_DATA.exec.process_pid;
/** A fork's child and a tracer, at the same place. */
const SECOND_PID = EVENT_AT + EVENT_DATA.fork.child_tgid;
const CHILD_TID = EVENT_AT + EVENT_DATA.fork.child_pid;
const EXIT_CODE = EVENT_AT + EVENT_DATA.exit.exit_code;

const load = (offset: number): BpfStep => ({ op: "load", offset });
const label = (name: string): BpfStep => ({ op: "label", name });
const jump = (to: string): BpfStep => ({ op: "jump", to });
const is = (value: number, to: string): BpfStep => ({ op: "jumpIf", test: "==", value: hostWord(value), to });
const hasAnyOf = (mask: number, to: string): BpfStep => ({
  op: "jumpIf",
  test: "&",
  value: hostWord(mask),
  to,
});

/** Jumps where two words are the same. */
function ifSame(offset: number, other: number, to: string): BpfStep[] {
  return [load(offset), { op: "keep" }, load(other), { op: "jumpIfKept", to }];
}

/** Keeps only the acknowledgement with this `ack`: nothing else reaches the queue until the subscription is confirmed. */
export function ackOnly(ack: number): BpfStep[] {
  return [...acceptAck(ack), { op: "drop" }];
}

/** Accepts the acknowledgement with this `ack`, and goes on with everything else. */
export function acceptAck(ack: number): BpfStep[] {
  return [
    load(WHAT),
    is(PROC_EVENT_NONE, "acknowledgement"),
    jump("no acknowledgement"),
    label("acknowledgement"),
    load(NLMSGHDR.SIZE + CN_MSG.ack),
    is(ack, "our acknowledgement"),
    jump("no acknowledgement"),
    label("our acknowledgement"),
    { op: "accept" },
    label("no acknowledgement"),
  ];
}

/** Accepts a change of name of process `pid`, and goes on with everything else. */
export function acceptComm(pid: number): BpfStep[] {
  return [
    load(WHAT),
    is(PROC_EVENT_COMM, "name"),
    jump("no name of ours"),
    label("name"),
    load(SUBJECT_PID),
    is(pid, "our name"),
    jump("no name of ours"),
    label("our name"),
    { op: "accept" },
    label("no name of ours"),
  ];
}

/** Whether the whole filter fits into a BPF program. */
export function fitsProgram({ pids }: CheckedFilter): boolean {
  return pids === undefined || pids.size <= MAX_BPF_PIDS;
}

/** The program of a filter, or undefined for one that wants everything. Too many pids are left to TypeScript. */
export function filterProgram(filter: CheckedFilter): BpfStep[] | undefined {
  const { mask, failedOnly, withoutThreads, threadLife } = filter;
  const pids = fitsProgram(filter) ? filter.pids : undefined;
  // Of threads, what they do, or what is left of it where their lives are wanted.
  const threadKinds = threadLife ? THREAD_KINDS & ~PROC_EVENT_EXIT : THREAD_KINDS;
  // Where nothing else is filtered, the rest is not either: sequence numbers then show losses as well.
  const dropsThreads = withoutThreads && (!threadLife || (mask !== undefined && (mask & threadKinds) !== 0));
  if (mask === undefined && (!failedOnly || threadLife) && !dropsThreads && pids === undefined) {
    return undefined;
  }
  const steps: BpfStep[] = [load(WHAT)];
  const every = threadLife && mask !== undefined ? (mask | THREAD_LIFE_KINDS) >>> 0 : mask;
  if (every !== undefined) {
    steps.push(hasAnyOf(every, "wanted kind"), jump("unwanted"), label("wanted kind"));
  } else {
    // Acknowledgements are no events; an unknown type has no fields to compare.
    steps.push(is(PROC_EVENT_NONE, "unwanted"));
  }
  // Where it takes the lives of threads, a clean exit of one can be the end of a process that has failed.
  if (failedOnly && !threadLife) {
    steps.push(is(PROC_EVENT_EXIT, "exit"), jump("no clean exit"), label("exit"), load(EXIT_CODE));
    steps.push(is(0, "unwanted"), load(WHAT), label("no clean exit"));
  }
  if (threadLife && mask !== undefined && (mask & PROC_EVENT_FORK) === 0) {
    steps.push(is(PROC_EVENT_FORK, "any fork"), jump("no fork"), label("any fork"));
    steps.push(...ifSame(SECOND_PID, CHILD_TID, "unwanted"), load(WHAT), label("no fork"));
  }
  if (dropsThreads) {
    if (!threadLife) steps.push(is(PROC_EVENT_FORK, "fork"));
    steps.push(hasAnyOf(threadKinds, "subject"), jump("no thread"));
    if (!threadLife) {
      steps.push(label("fork"), ...ifSame(SECOND_PID, CHILD_TID, "no thread"), jump("unwanted"));
    }
    steps.push(label("subject"), ...ifSame(SUBJECT_PID, SUBJECT_TID, "no thread"), jump("unwanted"));
    steps.push(label("no thread"));
  }
  if (pids !== undefined) {
    const known = Object.values(PROCESS_EVENT_TYPES).reduce((all, bit) => all | bit, 0);
    steps.push(load(WHAT), hasAnyOf(known, "known kind"), jump("unwanted"), label("known kind"));
    steps.push(load(SUBJECT_PID), ...[...pids].map((pid) => is(pid, "wanted")));
    steps.push(load(WHAT), hasAnyOf(PAIR_KINDS, "pair"), jump("unwanted"));
    steps.push(
      label("pair"),
      load(SECOND_PID),
      ...[...pids].map((pid) => is(pid, "wanted")),
      jump("unwanted"),
    );
  }
  return [...steps, label("wanted"), { op: "accept" }, label("unwanted"), { op: "drop" }];
}
