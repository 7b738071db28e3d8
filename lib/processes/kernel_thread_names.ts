import type { ProcFs } from "../procfs/process.ts";
import type { TableEntry } from "./table.ts";

/** A kernel thread gets its name within microseconds; one that has its parent's name for longer keeps it. */
const NAMED_NS = 1_000_000_000n;

/** Names new kernel threads: they get their names shortly after their forks, and no event reports that. */
export class KernelThreadNames {
  readonly #procFs: ProcFs;
  readonly #entries: ReadonlyMap<number, TableEntry>;
  /** Those that may not have their names yet, with the moment of their creation. */
  readonly #unnamed = new Map<number, bigint>();

  constructor(procFs: ProcFs, entries: ReadonlyMap<number, TableEntry>) {
    this.#procFs = procFs;
    this.#entries = entries;
  }

  /** Names one that was just created, now or later. */
  add(entry: TableEntry, createdNs: bigint): void {
    this.#unnamed.set(entry.info.pid, createdNs);
    this.#name(entry, createdNs, createdNs);
  }

  /** Names those that have got their names by now. */
  nameAll(nowNs: bigint): void {
    for (const [pid, createdNs] of this.#unnamed) {
      const entry = this.#entries.get(pid);
      if (entry !== undefined && entry.info.kernelThread) this.#name(entry, createdNs, nowNs);
      else this.#unnamed.delete(pid);
    }
  }

  #name(entry: TableEntry, createdNs: bigint, nowNs: bigint): void {
    const { info } = entry;
    const stat = this.#procFs.stat(info.pid);
    const isNamed = stat !== undefined && stat.kernelThread &&
      (stat.comm !== info.parentComm || nowNs - createdNs > NAMED_NS);
    if (isNamed) entry.info = { ...info, comm: stat.comm };
    if (isNamed || stat === undefined) this.#unnamed.delete(info.pid);
  }
}
