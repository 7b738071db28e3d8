import type { Libc } from "../../ffi/libc.ts";
import { commOf, readBusSockets, socketOwners } from "./proc_net.ts";

/** So many different ports are told apart: who forges may use a new one for each message. */
const MAX_SENDERS = 64;
/** The key of all beyond those. */
const OTHERS = -1;

/** Somebody on the bus whose messages were not believed. */
export interface UntrustedSender {
  /** Its netlink port; undefined for all senders beyond the first 64, counted together. */
  readonly port: number | undefined;
  /** How many of its messages were not believed. */
  readonly count: number;
  /** The process that had the port when its first message was looked at; undefined where that had gone, or is hidden. */
  readonly pid: number | undefined;
  /** The name of that process. */
  readonly comm: string | undefined;
}

/** Counts by the port that sent it what is not believed, and finds out once for each port whose it is. */
export class UntrustedSenders {
  readonly #libc: Libc;
  readonly #byPort = new Map<number, { count: number; pid: number | undefined; comm: string | undefined }>();
  /** All messages of all senders. */
  count = 0;

  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Counts a message of this port; `pid` is its process, where the kernel told. */
  add(port: number, pid?: number): void {
    this.count++;
    const known = this.#byPort.get(port) ??
      (this.#byPort.size < MAX_SENDERS ? undefined : this.#byPort.get(OTHERS));
    if (known !== undefined) {
      known.count++;
      return;
    }
    if (this.#byPort.size >= MAX_SENDERS) {
      this.#byPort.set(OTHERS, { count: 1, pid: undefined, comm: undefined });
    } else if (pid !== undefined) this.#byPort.set(port, { count: 1, pid, comm: commOf(this.#libc, pid) });
    // A look through the descriptors of all processes: dear, and so never more often than there are places here.
    else this.#byPort.set(port, { count: 1, ...this.#ownerOf(port) });
  }

  /** The senders, as they are now. */
  list(): UntrustedSender[] {
    return [...this.#byPort].map(([port, sender]) => ({
      port: port === OTHERS ? undefined : port,
      ...sender,
    }));
  }

  #ownerOf(port: number): { pid: number | undefined; comm: string | undefined } {
    const inodes = (readBusSockets(this.#libc) ?? []).filter((socket) => socket.port === port);
    const [owners] = socketOwners(this.#libc, new Set(inodes.map(({ inode }) => inode))).values();
    return { pid: owners?.[0]?.pid, comm: owners?.[0]?.comm };
  }
}
