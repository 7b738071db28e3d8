import type { WatchEvent } from "./subscribe.ts";

const MAX_PIDS = 1 << 22;

/**
 * The work of every contender, including the C references: check the type of an event, read its fields, and count it.
 * Events of one process and its children are counted separately, because their exact number is known.
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
  /** The pids of current children. An exit event may lack the parent, because the kernel notifies the parent first. */
  readonly #children = new Uint8Array(MAX_PIDS);

  constructor(of: number) {
    this.#of = of;
  }

  /** Counts one event; returns whether it belongs to the process or one of its children. */
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
        this.#pidSum += event.pid;
        if (event.parentPid !== this.#of || event.thread) return false;
        this.#ownFork++;
        this.#childPidSum += event.pid;
        this.#children[event.pid] = 1;
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

  /** The number of events of the process and its children. */
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
