import type { EventClock } from "../../lib/cli/io/time.ts";
import type { ProcessEvent, ProcessInfo } from "../../mod.ts";
import { IdNames } from "../../lib/cli/commands/watch/row.ts";

/** A process of which everything is known but for what `known` says. */
export function process(known: Partial<ProcessInfo> = {}): ProcessInfo {
  return {
    pid: 4711,
    parentPid: 100,
    parentComm: "bash",
    startNs: 1_000_000_000n,
    startFrom: "fork",
    startTimeTicks: undefined,
    comm: "sh",
    commandLine: ["sh", "-c", "exit 3"],
    commandLineTruncated: false,
    exe: "/usr/bin/dash",
    uid: 65534,
    effectiveUid: 65534,
    session: 100,
    cgroup: "/",
    kernelThread: false,
    unknownBecause: undefined,
    ...known,
  };
}

const common = { cpu: 1, seq: 7, timestampNs: 1_012_345_678n };
const who = { pid: 4711, tid: 4711 };
const exit = {
  type: "exit",
  ...common,
  ...who,
  status: 768,
  exitCode: 3,
  signal: null,
  coreDumped: false,
  exitSignal: 17,
  parentPid: 100,
  parentTid: 100,
  thread: false,
} as const;
const fork = {
  type: "fork",
  ...common,
  parentPid: 100,
  parentTid: 101,
  pid: 4711,
  tid: 4711,
  thread: false,
} as const;

/** One event of every kind, and of every form that looks different. */
export const SAMPLES = {
  fork: { ...fork, process: process() },
  thread: { ...fork, tid: 4712, thread: true, process: process() },
  exec: { type: "exec", ...common, ...who, process: process() },
  exit: { ...exit, process: process() },
  killed: { ...exit, status: 9, exitCode: null, signal: "SIGKILL", process: process() },
  dumped: { ...exit, status: 139, exitCode: null, signal: "SIGSEGV", coreDumped: true, process: process() },
  threadExit: { ...exit, status: 0, exitCode: 0, tid: 4712, thread: true, process: process() },
  uid: { type: "uid", ...common, ...who, realUid: 65534, effectiveUid: 65534, process: process() },
  setuid: { type: "uid", ...common, ...who, realUid: 65534, effectiveUid: 0, process: process() },
  gid: { type: "gid", ...common, ...who, realGid: 65534, effectiveGid: 65534, process: process() },
  sid: { type: "sid", ...common, ...who, process: process() },
  attached: { type: "ptrace", ...common, ...who, tracerPid: 99, tracerTid: 99, process: process() },
  detached: { type: "ptrace", ...common, ...who, tracerPid: 0, tracerTid: 0, process: process() },
  comm: { type: "comm", ...common, ...who, comm: "a worker", process: process({ comm: "a worker" }) },
  threadComm: { type: "comm", ...common, pid: 4711, tid: 4712, comm: "pool-1", process: process() },
  core: { type: "coredump", ...common, ...who, parentPid: 100, parentTid: 100, process: process() },
  lost: {
    type: "lost",
    count: 12,
    where: "kernel",
    cpus: [0, 3],
    sinceNs: 900_000_000n,
    timestampNs: 1_012_345_678n,
  },
  lostSome: {
    type: "lost",
    count: undefined,
    where: "kernel",
    cpus: [],
    sinceNs: 900_000_000n,
    timestampNs: 1_012_345_678n,
  },
  unknown: { type: "unknown", ...common, what: 0x400, data: Uint8Array.of(0, 4, 255) },
  kernelThread: {
    type: "exec",
    ...common,
    ...who,
    process: process({ kernelThread: true, comm: "kworker/0:1", commandLine: [], uid: 0 }),
  },
  nameOnly: { type: "exec", ...common, ...who, process: process({ commandLine: undefined }) },
  nothing: { type: "exec", ...common, ...who, process: process({ commandLine: undefined, comm: undefined }) },
} as const satisfies Record<string, ProcessEvent>;

/** A clock on which the kernel's zero is 12:00:00 of 2026-08-30, local time. */
export function noonClock(): EventClock {
  const noonMs = new Date(2026, 7, 30, 12).getTime();
  return { wallTimeMs: (timestampNs) => noonMs + Number(timestampNs) / 1e6 };
}

/** Names that do not depend on the machine. */
export const NAMES: IdNames = new IdNames(new Map([[0, "root"], [65534, "nobody"]]));
