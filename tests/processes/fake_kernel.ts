import { encodeDatagram } from "../../lib/connector/message.ts";
import {
  PROC_CN_MCAST_IGNORE,
  PROC_CN_MCAST_LISTEN,
  PROC_EVENT_ALL,
  PROC_EVENT_EXEC,
  PROC_EVENT_FORK,
} from "../../lib/processes/constants.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { type FakeDatagram, FakeLibc, type SentDatagram } from "../support/fake_libc.ts";
import { type FakeSystem, fakeSystem } from "../support/fake_poller.ts";

const ID = { idx: 1, val: 1 };

/** A machine whose scripted libc takes subscriptions as the kernel's connector does, and counts its listeners. */
export class FakeProcKernel {
  readonly libc: FakeLibc = new FakeLibc();
  readonly system: FakeSystem = fakeSystem(this.libc);
  /** `proc_event_num_listeners`: another program listens. */
  listeners = 1;
  readonly #filters: boolean;
  readonly #listening = new Set<number>();
  #seq = 0;

  /** `filters`: 6.6 or newer, which knows each socket, and the long form. */
  constructor(filters: boolean) {
    this.#filters = filters;
    this.libc.onSend = (datagram) => this.#take(datagram);
  }

  #take({ fd, bytes }: SentDatagram): void {
    const view = viewOf(bytes);
    const long = view.getUint16(32, LITTLE) === 8;
    const op = view.getUint32(36, LITTLE);
    if (long && !this.#filters) return;
    const listens = this.#listening.has(fd);
    if (op === PROC_CN_MCAST_LISTEN) {
      if (!this.#filters || !listens) this.listeners++;
      this.#listening.add(fd);
    } else if (op === PROC_CN_MCAST_IGNORE) {
      if (!this.#filters || listens) this.listeners--;
      this.#listening.delete(fd);
    }
    if (long && op === PROC_CN_MCAST_LISTEN && view.getUint32(40, LITTLE) !== PROC_EVENT_ALL) return;
    this.libc.receives(fd, this.#event(0, 0, (view.getUint32(28, LITTLE) + 1) >>> 0));
  }

  /** An exec of each of these processes is queued at every socket. */
  exec(...pids: number[]): void {
    this.libc.receives("all", ...pids.map((pid) => this.#event(PROC_EVENT_EXEC, pid)));
  }

  /** A fork of each of these processes is queued at every socket. */
  fork(...pids: number[]): void {
    this.libc.receives("all", ...pids.map((pid) => this.#event(PROC_EVENT_FORK, 1, 0, pid)));
  }

  #event(what: number, pid: number, ack: number = 0, child: number = 0): FakeDatagram {
    const data = new Uint8Array(40);
    const view = viewOf(data);
    view.setUint32(0, what, LITTLE);
    view.setBigUint64(8, this.libc.nowNs, LITTLE);
    view.setUint32(16, pid, LITTLE);
    view.setUint32(20, pid, LITTLE);
    view.setUint32(24, child, LITTLE);
    view.setUint32(28, child, LITTLE);
    const bytes = encodeDatagram({ id: ID, seq: this.#seq++, ack, flags: 0, data });
    return { bytes, from: { group: 1 } };
  }
}
