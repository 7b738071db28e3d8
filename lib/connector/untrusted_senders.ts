import type { ReadCalls } from "../../ffi/libc.ts";
import { readComm } from "../procfs/file.ts";
import { readBusSockets, socketOwners } from "./proc_net.ts";

/** How many ports are counted separately: a forger may use a new one for each message. */
const MAX_SENDERS = 64;
/** The key of all ports beyond those. */
const OTHER_PORTS = -1;

/** A sender on the bus whose messages were not trusted. */
export interface UntrustedSender {
  /** Its netlink port; undefined for all senders beyond the first 64, counted together. */
  readonly port: number | undefined;
  /** How many of its messages were not trusted. */
  readonly count: number;
  /** The process that had the port when its first message was received; undefined if it had exited or is hidden. */
  readonly pid: number | undefined;
  /** The name of that process. */
  readonly comm: string | undefined;
}

/** Counts untrusted messages by the port that sent them, and looks up once for each port which process it is. */
export class UntrustedSenders {
  readonly #libc: ReadCalls;
  readonly #byPort = new Map<number, { count: number; pid: number | undefined; comm: string | undefined }>();
  /** The messages of all senders. */
  count = 0;

  constructor(libc: ReadCalls) {
    this.#libc = libc;
  }

  /** Counts a message from this port; `pid` is its process, if the kernel reported it. */
  add(port: number, pid?: number): void {
    this.count++;
    const known = this.#byPort.get(port) ??
      (this.#byPort.size < MAX_SENDERS ? undefined : this.#byPort.get(OTHER_PORTS));
    if (known !== undefined) {
      known.count++;
      return;
    }
    if (this.#byPort.size >= MAX_SENDERS) {
      this.#byPort.set(OTHER_PORTS, { count: 1, pid: undefined, comm: undefined });
    } else if (pid !== undefined) this.#byPort.set(port, { count: 1, pid, comm: readComm(this.#libc, pid) });
    // This searches the descriptors of all processes, which is expensive: at most MAX_SENDERS times.
    else this.#byPort.set(port, { count: 1, ...this.#ownerOf(port) });
  }

  /** The senders as they are now, in the order in which they were first seen. */
  list(): UntrustedSender[] {
    return [...this.#byPort].map(([port, sender]) => ({
      port: port === OTHER_PORTS ? undefined : port,
      ...sender,
    }));
  }

  #ownerOf(port: number): { pid: number | undefined; comm: string | undefined } {
    const inodes = (readBusSockets(this.#libc) ?? []).filter((socket) => socket.port === port);
    const [owners] = socketOwners(this.#libc, new Set(inodes.map(({ inode }) => inode))).values();
    return { pid: owners?.[0]?.pid, comm: owners?.[0]?.comm };
  }
}
