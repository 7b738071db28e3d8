// What the kernel sends to a server of dirty logs.

import { DM_ULOG_NAMES } from "../../../lib/protocols/dm_log/constants.ts";
import { DM_ULOG_REQUEST, type DmLogRequest } from "../../../lib/protocols/dm_log/message.ts";
import { LITTLE, viewOf } from "../../../lib/wire/bytes.ts";
import { encodeCString, encodeText } from "../../../lib/wire/text.ts";

/** The payload of a request: a `struct dm_ulog_request` and its data. */
export function encodeDmLogRequest(request: DmLogRequest): Uint8Array {
  const requestType = request.type === "unknown" ? request.requestType : DM_ULOG_NAMES[request.type];
  const data = requestData(request);
  const out = new Uint8Array(DM_ULOG_REQUEST.SIZE + data.length);
  const view = viewOf(out);
  view.setBigUint64(DM_ULOG_REQUEST.luid, request.luid, LITTLE);
  out.set(encodeCString(request.uuid), DM_ULOG_REQUEST.uuid);
  view.setUint32(DM_ULOG_REQUEST.version, request.version, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.seq, request.seq, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.request_type, requestType, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.data_size, data.length, LITTLE);
  out.set(data, DM_ULOG_REQUEST.SIZE);
  return out;
}

function requestData(request: DmLogRequest): Uint8Array {
  switch (request.type) {
    case "ctr":
      return request.again ? encodeCString(request.args.join(" ")) : encodeText(request.args.join(" "));
    case "dtr":
      return encodeText(request.args.join(" "));
    case "is_clean":
    case "in_sync":
    case "is_remote_recovering":
      return encodeU64s(request.region);
    case "flush":
    case "mark_region":
    case "clear_region":
      return encodeU64s(...request.regions);
    case "set_region_sync":
      return encodeU64s(request.region, request.inSync ? 1n : 0n);
    case "unknown":
      return request.data;
    default:
      return new Uint8Array();
  }
}

function encodeU64s(...values: bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}
