import { type CnMsgVisitor, visitCnMsgs } from "../connector/datagram.ts";
import { CN_IDX_PROC, CN_MSG, CN_VAL_PROC } from "../connector/message.ts";
import type { UntrustedSenders } from "../connector/untrusted_senders.ts";
import { DecodeError } from "../errors/decode_error.ts";
import { KERNEL_PORT, NLMSG_DONE, NLMSGHDR } from "../netlink/message.ts";
import type { DatagramBatch } from "../netlink/datagram_batch.ts";
import { LITTLE } from "../wire/bytes.ts";
import { decodeProcEvent, readProcEvent } from "./codec.ts";
import type { ProcessEvent } from "./event.ts";
import { type CheckedFilter, wanted } from "./event_filter.ts";
import type { LivenessProbe } from "./liveness.ts";
import type { LossCounter } from "./loss.ts";

/** Whether the connector message at `at` has the identifier of process events. */
export function isProcMessage(view: DataView, at: number): boolean {
  return view.getUint32(at + CN_MSG.idx, LITTLE) === CN_IDX_PROC &&
    view.getUint32(at + CN_MSG.val, LITTLE) === CN_VAL_PROC;
}

/** Decodes datagrams into events, and counts those that are none. */
export class EventDecoder {
  readonly #datagrams: DatagramBatch;
  readonly #loss: LossCounter;
  readonly #untrusted: UntrustedSenders;
  readonly #filter: CheckedFilter;
  #filtersHere: boolean;
  #probe: LivenessProbe | undefined;
  /** Where the events of the datagram at hand go. */
  #events: ProcessEvent[] = [];
  readonly #visit: CnMsgVisitor = (at, end, isFirst) => this.#decodeMessage(at, end, isFirst);
  /** Messages from the kernel that were truncated, too short, or of another type or identifier. */
  malformed = 0;

  /** `filtersHere`: the filter is not, or not fully, applied before the queue. */
  constructor(
    datagrams: DatagramBatch,
    loss: LossCounter,
    untrusted: UntrustedSenders,
    filter: CheckedFilter,
    filtersHere: boolean,
  ) {
    this.#datagrams = datagrams;
    this.#loss = loss;
    this.#untrusted = untrusted;
    this.#filter = filter;
    this.#filtersHere = filtersHere;
  }

  /**
   * Shows the probe every message until {@linkcode endProbe}. What proves liveness comes past the filter, and more that
   * came that way may still be queued when the filter is whole again: from now on events are filtered here as well.
   */
  startProbe(probe: LivenessProbe): void {
    this.#probe = probe;
    this.#filtersHere = true;
  }

  /** Ends the probe. */
  endProbe(): void {
    this.#probe = undefined;
  }

  /** Decodes the first `count` datagrams of the batch and appends their events to `events`. */
  decode(count: number, events: ProcessEvent[]): void {
    const datagrams = this.#datagrams;
    const { words, halves } = datagrams.memory;
    this.#events = events;
    for (let i = 0; i < count; i++) {
      const port = datagrams.senderPort(i);
      if (port !== KERNEL_PORT) {
        this.#untrusted.add(port);
        continue;
      }
      const at = datagrams.at(i);
      const end = datagrams.end(i);
      const cnAt = at + NLMSGHDR.SIZE;
      // Every event of today's kernels is the only message of its datagram.
      if (
        words[(at + NLMSGHDR.len) >>> 2] === end - at && halves[(at + NLMSGHDR.type) >>> 1] === NLMSG_DONE &&
        words[(cnAt + CN_MSG.idx) >>> 2] === CN_IDX_PROC &&
        words[(cnAt + CN_MSG.val) >>> 2] === CN_VAL_PROC &&
        halves[(cnAt + CN_MSG.len) >>> 1] === end - cnAt - CN_MSG.SIZE && !datagrams.truncated(i)
      ) this.#decodeEvent(cnAt, end, true);
      else this.malformed += visitCnMsgs(datagrams, i, this.#visit);
    }
  }

  #decodeMessage(at: number, end: number, isFirst: boolean): void {
    if (isProcMessage(this.#datagrams.view, at)) this.#decodeEvent(at, end, isFirst);
    else this.malformed++;
  }

  #decodeEvent(at: number, end: number, isFirst: boolean): void {
    const { view, memory } = this.#datagrams;
    try {
      // Only the first message is known to be at a multiple of 8 bytes.
      const seq = view.getUint32(at + CN_MSG.seq, LITTLE);
      const event = isFirst
        ? readProcEvent(memory, at + CN_MSG.SIZE, end, seq)
        : decodeProcEvent(view, at + CN_MSG.SIZE, end, seq);
      // Acknowledgements, also those of others, take a sequence number too.
      const lost = this.#loss.observe(event.cpu, event.seq, event.timestampNs);
      if (lost !== undefined) this.#events.push(lost);
      if (event.type === "ack") {
        this.#probe?.observeAck(view.getUint32(at + CN_MSG.ack, LITTLE));
        return;
      }
      this.#probe?.observeEvent(event);
      // The filters before the queue have seen only the first message of a datagram.
      const mustFilter = this.#filtersHere || !isFirst;
      if (!mustFilter || wanted(this.#filter, event)) this.#events.push(event);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.malformed++;
    }
  }
}
