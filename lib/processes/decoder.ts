import { CN_IDX_PROC, CN_MSG, CN_VAL_PROC } from "../connector/message.ts";
import type { UntrustedSenders } from "../connector/untrusted_senders.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { KERNEL_PORT } from "../netlink/address.ts";
import { NLMSG_DONE } from "../netlink/constants.ts";
import { nlmsgAlign, NLMSGHDR } from "../netlink/message.ts";
import type { DatagramBatch } from "../netlink/datagram_batch.ts";
import { LITTLE } from "../wire/bytes.ts";
import type { KernelProcessEvent, ProcessEvent } from "./event.ts";
import { type CheckedFilter, wanted } from "./event_filter.ts";
import { EVENT_AT } from "./bpf_filter.ts";
import type { LossCounter } from "./loss.ts";
import { decodeProcEvent } from "./codec.ts";
import type { LivenessProbe } from "./subscription.ts";

/** Makes events of datagrams, and counts what are none. */
export class EventDecoder {
  readonly #untrusted: UntrustedSenders;
  /** Messages from the kernel that were cut, too short, of another type or identifier. */
  malformed = 0;
  readonly #datagrams: DatagramBatch;
  readonly #loss: LossCounter;
  readonly #filter: CheckedFilter;
  #judges: boolean;
  #sign: LivenessProbe | undefined;
  #signSeen = false;

  /** `judges` says that the filter was not, or not wholly, applied before the queue. */
  constructor(
    datagrams: DatagramBatch,
    loss: LossCounter,
    untrusted: UntrustedSenders,
    filter: CheckedFilter,
    judges: boolean,
  ) {
    this.#datagrams = datagrams;
    this.#untrusted = untrusted;
    this.#loss = loss;
    this.#filter = filter;
    this.#judges = judges;
  }

  /**
   * From now on a sign of life is looked for. It comes past the filter, and what else came that way may still be queued
   * when the filter is whole again: from the first time on, events are judged here as well.
   */
  startProbe(sign: LivenessProbe): void {
    this.#sign = sign;
    this.#signSeen = false;
    this.#judges = true;
  }

  /** Ends looking for it; answers whether it came. */
  endProbe(): boolean {
    this.#sign = undefined;
    return this.#signSeen;
  }

  /** Decodes datagram `i` of the ring and adds what is in it to `events`. */
  decode(i: number, events: ProcessEvent[]): void {
    const datagrams = this.#datagrams;
    const port = datagrams.senderPort(i);
    if (port !== KERNEL_PORT) {
      this.#untrusted.add(port);
      return;
    }
    if (datagrams.truncated(i)) {
      this.malformed++;
      return;
    }
    const end = datagrams.end(i);
    const next = this.#decodeMessage(datagrams.at(i), end, this.#judges, events);
    // The kernel sends one message in a datagram today. The filters before the queue have seen the first only.
    for (let at = next; end - at >= NLMSGHDR.SIZE;) at = this.#decodeMessage(at, end, true, events);
  }

  /** Decodes the netlink message at `at`; answers where the next one may begin. */
  #decodeMessage(at: number, end: number, judges: boolean, events: ProcessEvent[]): number {
    const { view } = this.#datagrams;
    const cnAt = at + NLMSGHDR.SIZE;
    const dataAt = at + EVENT_AT;
    const length = end - at < NLMSGHDR.SIZE ? 0 : view.getUint32(at + NLMSGHDR.len, LITTLE);
    if (length < NLMSGHDR.SIZE || length > end - at) {
      this.malformed++;
      return end;
    }
    const next = at + nlmsgAlign(length);
    if (
      length < EVENT_AT || view.getUint16(at + NLMSGHDR.type, LITTLE) !== NLMSG_DONE ||
      view.getUint32(cnAt + CN_MSG.idx, LITTLE) !== CN_IDX_PROC ||
      view.getUint32(cnAt + CN_MSG.val, LITTLE) !== CN_VAL_PROC ||
      dataAt + view.getUint16(cnAt + CN_MSG.len, LITTLE) > at + length
    ) {
      this.malformed++;
      return next;
    }
    try {
      const dataEnd = dataAt + view.getUint16(cnAt + CN_MSG.len, LITTLE);
      const event = decodeProcEvent(view, dataAt, dataEnd, view.getUint32(cnAt + CN_MSG.seq, LITTLE));
      // Acknowledgements, also those of others, take a sequence number too.
      const lost = this.#loss.see(event.cpu, event.seq, event.timestampNs);
      if (lost !== undefined) events.push(lost);
      if (event.type === "ack") {
        if (this.#sign !== undefined) this.#noteAck(view.getUint32(cnAt + CN_MSG.ack, LITTLE));
      } else {
        if (this.#sign !== undefined) this.#noteComm(event);
        if (!judges || wanted(this.#filter, event)) events.push(event);
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.malformed++;
    }
    return next;
  }

  #noteAck(ack: number): void {
    if ("ack" in this.#sign! && this.#sign.ack === ack) this.#signSeen = true;
  }

  #noteComm(event: KernelProcessEvent): void {
    if ("commPid" in this.#sign! && event.type === "comm" && event.pid === this.#sign.commPid) {
      this.#signSeen = true;
    }
  }
}
