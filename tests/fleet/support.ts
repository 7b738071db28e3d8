import type { Image } from "../../lib/history/images.ts";
import type { StoreTools } from "../../lib/history/recorder.ts";
import { ENDED } from "../../lib/history/schema.ts";
import { emptyInfo, type ProcessInfo } from "../../lib/processes/info.ts";

/** When the story begins: microseconds since 1970, and CLOCK_MONOTONIC. */
export const BEGIN_US = 1_700_000_000_000_000;
const SECOND_US = 1_000_000;

/** A time of the story, in microseconds. */
export function at(seconds: number): number {
  return BEGIN_US + Math.round(seconds * SECOND_US);
}

/** The clock and the machine of a spool. */
export function toolsAt(seconds: number, tools: Partial<StoreTools> = {}): StoreTools {
  return {
    machine: { machineId: "machine", name: "here", bootId: "boot", kernel: "6", bootedUs: BEGIN_US },
    recorder: { pid: 1, startTicks: 1 },
    startedUs: at(seconds),
    users: new Map([[0, "root"], [33, "www-data"]]),
    startTicksOf: () => undefined,
    wallUs: (ns) => BEGIN_US + Number(ns / 1000n),
    monotonicNs: (us) => BigInt(us - BEGIN_US) * 1000n,
    ...tools,
  };
}

/** A program that began at a time, in seconds; without `lasts` it runs. */
export function image(
  id: number,
  { at, lasts, info, ...rest }:
    & { readonly at: number; readonly lasts?: number | undefined; readonly info?: Partial<ProcessInfo> }
    & Partial<Image>,
): Image {
  const startNs = BigInt(Math.round(at * 1e9));
  return {
    id,
    pid: 1000 + id,
    process: { ...emptyInfo(1000 + id, undefined), comm: `c${id}`, exe: `/usr/bin/c${id}`, uid: 33, ...info },
    parent: undefined,
    parentComm: undefined,
    startTicks: Math.round(at * 100),
    startNs,
    endNs: lasts === undefined ? undefined : startNs + BigInt(Math.round(lasts * 1e9)),
    measured: true,
    ended: lasts === undefined ? ENDED.RUNNING : ENDED.EXIT,
    status: lasts === undefined ? null : 0,
    usage: undefined,
    flags: 0,
    stored: "no",
    queued: false,
    ...rest,
  };
}

/** The same program, ended. */
export function ended(image: Image, seconds: number): Image {
  return { ...image, endNs: BigInt(Math.round(seconds * 1e9)), ended: ENDED.EXIT, status: 0 };
}
