import type { CnMsg } from "../../connector/message.ts";
import { ERRNO } from "../../errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import { CN_IDX_DM, CN_VAL_DM_USERSPACE_LOG, DM_ULOG_NAMES } from "./constants.ts";
import {
  decodeEnvelope,
  type DmLogRequest,
  encodeEnvelope,
  NAME_OF,
  REGION_BYTES,
  REMOTE_RECOVERING,
  requireBytes,
  RESYNC_WORK,
} from "./message.ts";

/** Room for a status when the request is repeated; a longer one is lost once, which is harmless. */
const STATUS_ROOM = 128;

/** The reply of a server. `error` is 0 or a negative errno; with an errno no data is sent. */
export type DmLogReply =
  /** `device` is the log's block device, which the kernel keeps open; undefined for none. */
  | { readonly type: "ctr"; readonly error: number; readonly device?: string | undefined }
  | {
    readonly type:
      | "dtr"
      | "presuspend"
      | "postsuspend"
      | "resume"
      | "flush"
      | "mark_region"
      | "clear_region"
      | "set_region_sync"
      | "unknown";
    readonly error: number;
  }
  /** In sectors of 512 bytes. */
  | { readonly type: "get_region_size"; readonly error: number; readonly regionSize?: bigint }
  | { readonly type: "is_clean" | "in_sync"; readonly error: number; readonly value?: boolean }
  /** `region` is undefined if there is no work. */
  | { readonly type: "get_resync_work"; readonly error: number; readonly region?: bigint | undefined }
  | { readonly type: "get_sync_count"; readonly error: number; readonly count?: bigint }
  | { readonly type: "status_info" | "status_table"; readonly error: number; readonly text?: string }
  | {
    readonly type: "is_remote_recovering";
    readonly error: number;
    readonly recovering?: boolean;
    /** The lowest region out of sync. */
    readonly inSyncHint?: bigint;
  };

/**
 * Decodes the reply of a server.
 *
 * @throws {DecodeError} As {@linkcode decodeDmLogRequest}.
 */
export function decodeDmLogReply(bytes: Uint8Array): DmLogReply {
  const { error, requestType, data } = decodeEnvelope(bytes);
  const type = NAME_OF.get(requestType) ?? "unknown";
  if (error !== 0) return { type, error };
  const view = viewOf(data);
  switch (type) {
    case "ctr":
      return { type, error, device: data.length === 0 ? undefined : decodeCString(data) };
    case "get_region_size":
      requireBytes("region size", REGION_BYTES, data);
      return { type, error, regionSize: view.getBigUint64(0, LITTLE) };
    case "is_clean":
    case "in_sync":
      requireBytes("answer", REGION_BYTES, data);
      return { type, error, value: view.getBigInt64(0, LITTLE) !== 0n };
    case "get_resync_work": {
      requireBytes("resync work", RESYNC_WORK.SIZE, data);
      const work = view.getBigInt64(RESYNC_WORK.i, LITTLE) !== 0n;
      return { type, error, region: work ? view.getBigUint64(RESYNC_WORK.r, LITTLE) : undefined };
    }
    case "get_sync_count":
      requireBytes("sync count", REGION_BYTES, data);
      return { type, error, count: view.getBigUint64(0, LITTLE) };
    case "status_info":
    case "status_table":
      return { type, error, text: decodeCString(data) };
    case "is_remote_recovering":
      requireBytes("remote recovering", REMOTE_RECOVERING.SIZE, data);
      return {
        type,
        error,
        recovering: view.getBigInt64(REMOTE_RECOVERING.is_recovering, LITTLE) !== 0n,
        inSyncHint: view.getBigUint64(REMOTE_RECOVERING.in_sync_hint, LITTLE),
      };
    default:
      return { type, error };
  }
}

/**
 * Encodes a reply. It repeats the log and the number of the request, by which the kernel matches it. With an error there
 * is no data, except zeros with ESRCH (a log unknown to this server): the kernel takes their number as the room for the
 * reply when it repeats the request after creating the log.
 *
 * @throws {TypeError} When the reply is to another type of request.
 * @throws {RangeError} When the uuid has more than 128 bytes.
 */
export function encodeDmLogReply(request: DmLogRequest, reply: DmLogReply): Uint8Array {
  if (request.type !== reply.type) {
    throw new TypeError(`Cannot answer ${request.type} with ${reply.type}: the types must be the same`);
  }
  const requestType = request.type === "unknown" ? request.requestType : DM_ULOG_NAMES[request.type];
  const data = reply.error === 0
    ? replyData(reply)
    : fixedBytes(reply.error === -ERRNO.ESRCH! ? room(reply) : 0);
  return encodeEnvelope(request, requestType, reply.error, data);
}

/**
 * An acknowledgement without a payload. The kernel matches it by the message's `seq`, takes the error from its `ack`, and
 * considers the request answered without data. `errno` 11 (EAGAIN) makes it repeat the request.
 *
 * @param seq The `seq` of the request.
 * @param errno 0 or a positive errno.
 */
export function bareAck(seq: number, errno: number): CnMsg {
  const id = { idx: CN_IDX_DM, val: CN_VAL_DM_USERSPACE_LOG };
  return { id, seq, ack: errno, flags: 0, data: new Uint8Array() };
}

function replyData(reply: DmLogReply): Uint8Array {
  switch (reply.type) {
    case "ctr":
      return reply.device === undefined ? new Uint8Array() : encodeCString(reply.device);
    case "get_region_size":
      return encodeU64s(reply.regionSize ?? 0n);
    case "is_clean":
    case "in_sync":
      return encodeU64s(reply.value === true ? 1n : 0n);
    case "get_resync_work":
      return encodeU64s(reply.region === undefined ? 0n : 1n, reply.region ?? 0n);
    case "get_sync_count":
      return encodeU64s(reply.count ?? 0n);
    case "status_info":
    case "status_table":
      // The kernel copies the bytes into a text and does not terminate it.
      return encodeCString(reply.text ?? "");
    case "is_remote_recovering":
      return encodeU64s(reply.recovering === true ? 1n : 0n, reply.inSyncHint ?? 0n);
    default:
      return new Uint8Array();
  }
}

/**
 * After ESRCH the kernel creates the log again and repeats the request, but with only as much room for the reply as this
 * one took. With an empty one it would refuse the next reply, consider a region out of sync and write to one leg only.
 */
function room(reply: DmLogReply): number {
  switch (reply.type) {
    case "get_region_size":
    case "is_clean":
    case "in_sync":
    case "get_sync_count":
      return REGION_BYTES;
    case "get_resync_work":
      return RESYNC_WORK.SIZE;
    case "is_remote_recovering":
      return REMOTE_RECOVERING.SIZE;
    case "status_info":
    case "status_table":
      return STATUS_ROOM;
    default:
      return 0;
  }
}

function encodeU64s(...values: bigint[]): Uint8Array {
  const out = fixedBytes(values.length * REGION_BYTES);
  const view = viewOf(out);
  values.forEach((value, i) => view.setBigUint64(i * REGION_BYTES, value, LITTLE));
  return out;
}
