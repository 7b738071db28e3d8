import type { ProcessEvent } from "./event.ts";

type Kind = "exec" | "exit" | "comm";

/** What comes later in a batch: an exec that is followed by another, or by the end, is not worth a look at /proc. */
export class BatchIndex {
  /** Index of the last event of each kind in the batch, by process. */
  readonly #last: Readonly<Record<Kind, Map<number, number>>> = {
    exec: new Map(),
    exit: new Map(),
    comm: new Map(),
  };
  #batch: readonly ProcessEvent[] = [];
  #isFilled = false;

  /** Begins a batch. Most of them are never asked about. */
  begin(batch: readonly ProcessEvent[]): void {
    this.#batch = batch;
    this.#isFilled = false;
  }

  /** Whether a process has such an event behind the one at `index`. */
  has(kind: Kind, pid: number, index: number): boolean {
    if (!this.#isFilled) this.#fill();
    return (this.#last[kind].get(pid) ?? -1) > index;
  }

  /** Notes the last exec and end of each process in the batch, and the last name of its main thread. */
  #fill(): void {
    const batch = this.#batch;
    const { exec, exit, comm } = this.#last;
    this.#isFilled = true;
    exec.clear();
    exit.clear();
    comm.clear();
    if (batch.length < 2) return;
    for (let i = 0; i < batch.length; i++) {
      const event = batch[i]!;
      switch (event.type) {
        case "exec":
          exec.set(event.pid, i);
          break;
        case "exit":
          if (!event.thread) exit.set(event.pid, i);
          break;
        case "comm":
          if (event.tid === event.pid) comm.set(event.pid, i);
      }
    }
  }
}
