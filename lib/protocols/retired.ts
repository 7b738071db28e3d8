import { type CbId, CN_IDX_CONNECTOR, CN_VAL_CONNECTOR } from "../connector/message.ts";

/** An identifier that was assigned in the kernel and is no longer served. */
export interface RetiredProtocol {
  /** A short name. */
  readonly name: string;
  /** Its identifier. If only `idx` was assigned, `val` is 1. */
  readonly id: CbId;
  /** What it was, when, and what replaced it. */
  readonly history: string;
}

/** Requests of the network file system, spelled as in include/uapi/linux/connector.h. */
const CN_IDX_CIFS = 0x2;
const CN_VAL_CIFS = 0x1;

/** BlackBoard of the TSP sampling framework. */
const CN_IDX_BB = 0x5;

/** Distributed storage. */
const CN_DST_IDX = 0x6;
const CN_DST_VAL = 0x1;

/** The distributed replicated block device. */
const CN_IDX_DRBD = 0x8;
const CN_VAL_DRBD = 0x1;

/** Identifiers that were removed from the kernel, to name those that programs still use. */
export const RETIRED_PROTOCOLS: readonly RetiredProtocol[] = [
  {
    name: "cifs",
    id: { idx: CN_IDX_CIFS, val: CN_VAL_CIFS },
    history:
      "CIFS asked a program for addresses and Kerberos blobs, about 2.6.16 to 2.6.24; request-key replaced it",
  },
  {
    name: "blackboard",
    id: { idx: CN_IDX_BB, val: 0x1 },
    history:
      "BlackBoard of the TSP sampling framework: a number was assigned, but the code was never in the kernel",
  },
  {
    name: "dst",
    id: { idx: CN_DST_IDX, val: CN_DST_VAL },
    history: "Control of the DST network block device, in staging from 2.6.30 to 2.6.33; nothing replaced it",
  },
  {
    name: "drbd",
    id: { idx: CN_IDX_DRBD, val: CN_VAL_DRBD },
    history: "Configuration of DRBD 8.3, from 2.6.33 to about 3.7; generic netlink replaced it with DRBD 8.4",
  },
  {
    name: "notify",
    id: { idx: CN_IDX_CONNECTOR, val: CN_VAL_CONNECTOR },
    history:
      "Notification of identifiers that are registered and unregistered, removed in 2.6.33 (CVE-2010-0410)",
  },
];
