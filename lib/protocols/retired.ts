import type { CbId } from "../connector/message.ts";

/** An identifier that the kernel gave out and serves no more. */
export interface RetiredProtocol {
  /** A short name. */
  readonly name: string;
  /** Its identifier. Where none but `idx` was given out, `val` is 1. */
  readonly id: CbId;
  /** What it was, since when, and what came after it. */
  readonly history: string;
}

/** The network file system's questions, spelled as in include/uapi/linux/connector.h. */
export const CN_IDX_CIFS = 0x2;
export const CN_VAL_CIFS = 0x1;

/** BlackBoard, out of the TSP sampling framework. */
export const CN_IDX_BB = 0x5;

/** Distributed storage. */
export const CN_DST_IDX = 0x6;
export const CN_DST_VAL = 0x1;

/** The distributed replicated block device. */
export const CN_IDX_DRBD = 0x8;
export const CN_VAL_DRBD = 0x1;

/** The notification of identifiers. The constants left include/linux/connector.h together with the code. */
export const CN_IDX_CONNECTOR = 0xffff_ffff;
export const CN_VAL_CONNECTOR = 0xffff_ffff;

/** Identifiers that left the kernel, so that what still listens to them or sends to them can be named. */
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
      "BlackBoard of the TSP sampling framework: a number was given out, the code never was in the kernel",
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
      "Notification of identifiers that come and go, removed in 2.6.33 (CVE-2010-0410); see /proc/net/connector",
  },
];
