import { openSystem } from "../../lib/system.ts";
import { decodeCnMsg } from "../../lib/connector/message.ts";
import { NLMSGHDR } from "../../lib/netlink/message.ts";
import { DatagramBatch } from "../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../lib/netlink/socket.ts";
import { assemble } from "../../lib/netlink/bpf.ts";
import { hostWord } from "../../lib/netlink/bpf.ts";
import { EVENT_AT } from "../../lib/processes/bpf_filter.ts";

/** A bare member of group 1 that sees the acknowledgements of others: what they subscribe and take back. */
export class AckListener implements Disposable {
  readonly #socket: NetlinkSocket;
  readonly #datagrams: DatagramBatch;
  readonly #seen = new Map<number, number>();

  private constructor(socket: NetlinkSocket, datagrams: DatagramBatch) {
    this.#socket = socket;
    this.#datagrams = datagrams;
  }

  static async open(): Promise<AckListener> {
    const { libc } = await openSystem("listen to acknowledgements");
    const socket = NetlinkSocket.open(libc, "listen to acknowledgements");
    socket.attachFilter(assemble([
      { op: "load", offset: EVENT_AT },
      { op: "jumpIf", test: "==", value: hostWord(0), to: "acknowledgement" },
      { op: "drop" },
      { op: "label", name: "acknowledgement" },
      { op: "accept" },
    ]));
    // Others may open and close many watches until it is read.
    socket.disableOverrunErrors();
    socket.setReceiveBuffer(16 << 20);
    socket.join(1);
    return new AckListener(socket, new DatagramBatch(libc, 64, 128));
  }

  /** How many acknowledgements with this number came since the start. */
  count(ack: number): number {
    let count = 0;
    while ((count = this.#datagrams.receive(this.#socket.fd)) > 0) {
      for (let i = 0; i < count; i++) {
        const { ack } = decodeCnMsg(
          this.#datagrams.view,
          this.#datagrams.at(i) + NLMSGHDR.SIZE,
          this.#datagrams.end(i),
        );
        this.#seen.set(ack, (this.#seen.get(ack) ?? 0) + 1);
      }
    }
    return this.#seen.get(ack) ?? 0;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
