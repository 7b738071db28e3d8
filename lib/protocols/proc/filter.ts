import { CN_MSG } from "../../connector/message.ts";
import { type BpfStep, hostWord } from "../../netlink/bpf.ts";
import { NLMSGHDR } from "../../netlink/message.ts";
import { PROC_EVENT_KINDS, PROC_EVENT_NONE, type ProcEventKind } from "./constants.ts";
import { PROC_EVENT } from "./message.ts";

/** Where a `struct proc_event` begins in a datagram. */
export const EVENT_AT: number = NLMSGHDR.SIZE + CN_MSG.SIZE;

/** The kernel's mask for a choice of kinds, or undefined for all of them. */
export function kindsMask(kinds: readonly ProcEventKind[] | undefined): number | undefined {
  if (kinds === undefined) return undefined;
  let mask = 0;
  for (const kind of kinds) {
    const bit = PROC_EVENT_KINDS[kind];
    if (bit === undefined) {
      const known = Object.keys(PROC_EVENT_KINDS).join(", ");
      throw new TypeError(
        `Cannot watch processes: there is no event ${JSON.stringify(kind)}; there are ${known}`,
      );
    }
    mask |= bit;
  }
  if (mask === 0) throw new TypeError("Cannot watch processes: the list of events is empty");
  return mask >>> 0;
}

/** Keeps only the acknowledgement with this `ack`: nothing else reaches the queue before the subscription stands. */
export function ackOnly(ack: number): BpfStep[] {
  return [
    { op: "load", offset: EVENT_AT + PROC_EVENT.what },
    { op: "jumpIf", test: "==", value: hostWord(PROC_EVENT_NONE), to: "acknowledgement" },
    { op: "drop" },
    { op: "label", name: "acknowledgement" },
    { op: "load", offset: NLMSGHDR.SIZE + CN_MSG.ack },
    { op: "jumpIf", test: "==", value: hostWord(ack), to: "ours" },
    { op: "drop" },
    { op: "label", name: "ours" },
    { op: "accept" },
  ];
}

/** Keeps the kinds of events in `mask`. */
export function kindsOnly(mask: number): BpfStep[] {
  return [
    { op: "load", offset: EVENT_AT + PROC_EVENT.what },
    { op: "jumpIf", test: "&", value: hostWord(mask), to: "wanted" },
    { op: "drop" },
    { op: "label", name: "wanted" },
    { op: "accept" },
  ];
}
