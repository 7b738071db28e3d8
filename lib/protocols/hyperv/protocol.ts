import type { CnMsg } from "../../connector/message.ts";
import type { JsonValue, Protocol } from "../../connector/protocol.ts";
import {
  CN_KVP_IDX,
  CN_KVP_VAL,
  CN_VSS_IDX,
  CN_VSS_VAL,
  KVP_OP_REGISTER1,
  VSS_OP_REGISTER,
  VSS_OP_REGISTER1,
} from "./constants.ts";
import {
  decodeKvpRequest,
  decodeKvpStatus,
  decodeVssRequest,
  decodeVssStatus,
  type KvpIpInfo,
} from "./message.ts";

/** Key-value pairs between Hyper-V and its guests (drivers/hv/hv_kvp.c), over the connector. */
export const kvp: Protocol = {
  name: "kvp",
  title: "Key-value pairs and addresses of a Hyper-V guest",
  id: { idx: CN_KVP_IDX, val: CN_KVP_VAL },
  describe: describeKvp,
};

/** Snapshots of Hyper-V guests (drivers/hv/hv_snapshot.c), over the connector. */
export const vss: Protocol = {
  name: "vss",
  title: "Freezing and thawing of a Hyper-V guest's file systems for a snapshot",
  id: { idx: CN_VSS_IDX, val: CN_VSS_VAL },
  describe: describeVss,
};

/** A reply has its status in place of the operation, so nothing else is known about it. */
function describeKvp(message: CnMsg, from: "kernel" | "user"): JsonValue {
  if (from === "kernel") {
    const request = decodeKvpRequest(message.data);
    return "info" in request ? { ...request, info: plainIp(request.info) } : { ...request };
  }
  const error = decodeKvpStatus(message.data);
  return error === KVP_OP_REGISTER1 ? { type: "register" } : { type: "reply", error: hex(error) };
}

function describeVss(message: CnMsg, from: "kernel" | "user"): JsonValue {
  if (from === "kernel") return { ...decodeVssRequest(message.data) };
  const error = decodeVssStatus(message.data);
  return error === VSS_OP_REGISTER || error === VSS_OP_REGISTER1
    ? { type: "register" }
    : { type: "reply", error: hex(error) };
}

function plainIp(info: KvpIpInfo): JsonValue {
  return { ...info };
}

function hex(status: number): string {
  return `0x${status.toString(16).padStart(8, "0")}`;
}
