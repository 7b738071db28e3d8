import { openSystem } from "../../lib/system.ts";
import type { System } from "../../ffi/libc.ts";
import { ProcessTable } from "../../lib/processes/table.ts";
import type { ProcessInfoOptions } from "../../lib/processes/info.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import type { ProcessWatch } from "../../lib/processes/watch.ts";
import { tableStage } from "../../lib/processes/stages.ts";
import { openEventWatch } from "./open_watch.ts";

/** Why the tests on the real kernel cannot run here, or false. They must where CONNECTOR_KERNEL_TESTS is "required". */
export async function whyNoEvents(): Promise<string | false> {
  try {
    openEventWatch(await openSystem("test")).close();
    return false;
  } catch (error) {
    if (process.env["CONNECTOR_KERNEL_TESTS"] === "required") throw error;
    return (error as Error).message;
  }
}

/** A watch with a table that the test can look into. */
export class TableWatch implements Disposable {
  readonly system: System;
  readonly table: ProcessTable;
  /** The events of what this process started, so far: a busy machine has many others. */
  readonly seen: ProcessEvent[] = [];
  readonly #watch: ProcessWatch;
  readonly #ended: Promise<void>;
  readonly #mine = new Set([process.pid]);
  #lost = false;
  #wake: () => void = () => {};

  private constructor(system: System, options: ProcessInfoOptions) {
    this.system = system;
    this.table = new ProcessTable(system.libc, options);
    // Changes of names can come by the million.
    this.#watch = openEventWatch(system, { events: ["fork", "exec", "exit", "uid", "sid"] }, {
      eager: true,
      stages: [tableStage(this.table, true)],
    });
    for (const { pid, parentPid } of this.table.values()) if (parentPid === process.pid) this.#mine.add(pid);
    this.#ended = this.#collect();
  }

  static async open(options: ProcessInfoOptions = {}): Promise<TableWatch> {
    return new TableWatch(await openSystem("test"), options);
  }

  /** Resolves with the first event, seen already or still to come, for which `wanted` is true. */
  async until<Event extends ProcessEvent>(
    wanted: (event: ProcessEvent) => event is Event,
  ): Promise<Event> {
    for (let i = 0;; i++) {
      while (i >= this.seen.length) {
        if (this.#lost) throw new Error("Cannot judge the table: the machine is too busy, events were lost");
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      const event = this.seen[i]!;
      if (wanted(event)) return event;
    }
  }

  async close(): Promise<void> {
    this.#watch.close();
    await this.#ended;
  }

  [Symbol.dispose](): void {
    this.#watch.close();
  }

  async #collect(): Promise<void> {
    for await (const batch of this.#watch.batches()) {
      for (const event of batch) {
        if (event.type === "lost") this.#lost = true;
        else if (this.#isMine(event)) this.seen.push(event);
      }
      this.#wake();
    }
  }

  #isMine(event: ProcessEvent): boolean {
    if (event.type === "lost" || event.type === "unknown") return false;
    if (event.type !== "fork") return this.#mine.has(event.pid);
    if (this.#mine.has(event.parentPid)) this.#mine.add(event.pid);
    return this.#mine.has(event.pid);
  }
}
