import type {
  CommEvent,
  ExecEvent,
  ExitEvent,
  ForkEvent,
  ProcessLostEvent,
  SidEvent,
  UidEvent,
} from "../../lib/processes/event.ts";

/** Events for tests, one line each. Their times rise by themselves. */
export class Events {
  #seq = 0;
  readonly #now: () => bigint;

  constructor(now: () => bigint) {
    this.#now = now;
  }

  fork(parentPid: number, pid: number, parentTid: number = parentPid): ForkEvent {
    const parent = { parentPid, parentTid };
    return { type: "fork", ...this.#common(), ...parent, pid, tid: pid, thread: false };
  }

  thread(pid: number, tid: number): ForkEvent {
    const parent = { parentPid: 1, parentTid: 1 };
    return { type: "fork", ...this.#common(), ...parent, pid, tid, thread: true };
  }

  exec(pid: number): ExecEvent {
    return { type: "exec", ...this.#common(), pid, tid: pid };
  }

  exit(pid: number, tid: number = pid, status: number = 0): ExitEvent {
    return {
      type: "exit",
      ...this.#common(),
      pid,
      tid,
      status,
      exitCode: (status & 0x7f) === 0 ? status >> 8 : null,
      signal: (status & 0x7f) === 0 ? null : `signal ${status & 0x7f}`,
      coreDumped: false,
      exitSignal: pid === tid ? 17 : 0xffff_ffff,
      parentPid: 1,
      parentTid: 1,
      thread: pid !== tid,
    };
  }

  comm(pid: number, comm: string, tid: number = pid): CommEvent {
    return { type: "comm", ...this.#common(), pid, tid, comm };
  }

  uid(pid: number, realUid: number, effectiveUid: number, tid: number = pid): UidEvent {
    return { type: "uid", ...this.#common(), pid, tid, realUid, effectiveUid };
  }

  sid(pid: number): SidEvent {
    return { type: "sid", ...this.#common(), pid, tid: pid };
  }

  lost(count: number | undefined): ProcessLostEvent {
    return { type: "lost", count, where: "kernel", cpus: [], sinceNs: 0n, timestampNs: this.#now() };
  }

  #common(): { cpu: number; seq: number; timestampNs: bigint } {
    return { cpu: 0, seq: this.#seq++, timestampNs: this.#now() };
  }
}
