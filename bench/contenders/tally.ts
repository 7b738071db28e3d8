import type { WatchEvent } from "./subscribe.ts";

const MAX_PIDS = 1 << 22;

/**
 * What every contender does with an event, the C references too: look at its kind, read its fields, and keep counts.
 * The events of one process and of its children are counted apart, for those are known exactly.
 */
export class Tally {
  events = 0;
  #fork = 0;
  #exec = 0;
  #exit = 0;
  #comm = 0;
  #other = 0;
  #lost = 0;
  #lostReports = 0;
  #ownFork = 0;
  #ownExit = 0;
  #ownComm = 0;
  #childPidSum = 0;
  #pidSum = 0;
  #lastTimestamp = 0n;
  readonly #of: number;
  /** Which pids are children now. An exit may have no parent any more: the kernel tells the parent first. */
  readonly #children = new Uint8Array(MAX_PIDS);

  constructor(of: number) {
    this.#of = of;
  }

  /** Takes one event; answers whether it is of the process or of one of its children. */
  take(event: WatchEvent): boolean {
    if (event.type === "lost") {
      this.#lost += event.count ?? 0;
      this.#lostReports++;
      return false;
    }
    this.events++;
    this.#lastTimestamp = event.timestampNs;
    switch (event.type) {
      case "fork":
        this.#fork++;
        this.#pidSum += event.childPid;
        if (event.parentPid !== this.#of || event.thread) return false;
        this.#ownFork++;
        this.#childPidSum += event.childPid;
        this.#children[event.childPid] = 1;
        return true;
      case "exit":
        this.#exit++;
        this.#pidSum += event.pid;
        if (event.pid !== event.tid || this.#children[event.pid] !== 1) return false;
        this.#children[event.pid] = 0;
        this.#ownExit++;
        return true;
      case "comm":
        this.#comm++;
        this.#pidSum += event.pid;
        if (event.pid !== this.#of) return false;
        this.#ownComm++;
        return true;
      case "exec":
        this.#exec++;
        this.#pidSum += event.pid;
        return false;
      default:
        this.#other++;
        return false;
    }
  }

  /** How many events of the process and of its children there were. */
  get ownEvents(): number {
    return this.#ownFork + this.#ownExit + this.#ownComm;
  }

  toReport(): object {
    return {
      events: this.events,
      types: { fork: this.#fork, exec: this.#exec, exit: this.#exit, comm: this.#comm, other: this.#other },
      own: { fork: this.#ownFork, exit: this.#ownExit, comm: this.#ownComm, childPidSum: this.#childPidSum },
      lost: this.#lost,
      lostReports: this.#lostReports,
      checksum: this.#pidSum + Number(this.#lastTimestamp % 1000n),
    };
  }
}
