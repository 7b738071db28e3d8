import { CN_IDX_PROC, CN_VAL_PROC, type CnMsg } from "../connector/message.ts";
import { type JsonValue, type Protocol } from "../connector/protocol.ts";
import { viewOf } from "../wire/bytes.ts";
import { PROC_CN_MCAST_IGNORE, PROC_CN_MCAST_LISTEN } from "./constants.ts";
import { decodeProcEvent, decodeProcInput } from "./codec.ts";
import { hexOf } from "../wire/json.ts";

/** Process events (drivers/connector/cn_proc.c). */
export const proc: Protocol = {
  name: "proc",
  title: "Processes that start, run, change and end",
  id: { idx: CN_IDX_PROC, val: CN_VAL_PROC },
  describe,
};

const OPERATIONS: Readonly<Record<number, string>> = {
  [PROC_CN_MCAST_LISTEN]: "listen",
  [PROC_CN_MCAST_IGNORE]: "ignore",
};

/** From the kernel an event or an acknowledgement, from a program a request. */
function describe(message: CnMsg, from: "kernel" | "user"): JsonValue {
  if (from === "user") {
    const { op, mask } = decodeProcInput(message.data);
    return {
      op: OPERATIONS[op] ?? op,
      ...(mask === undefined ? {} : { mask: `0x${mask.toString(16).padStart(8, "0")}` }),
    };
  }
  const event = decodeProcEvent(viewOf(message.data), 0, message.data.length, message.seq);
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [name, plain(value)]));
}

function plain(value: unknown): JsonValue {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Uint8Array) return hexOf(value);
  return (value ?? null) as JsonValue;
}
