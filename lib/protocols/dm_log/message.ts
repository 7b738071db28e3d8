import type { CnMsg } from "../../connector/message.ts";
import { DecodeError } from "../../errors/decode_error.ts";
import { ERRNO } from "../../errors/errno.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import {
  CN_IDX_DM,
  CN_VAL_DM_USERSPACE_LOG,
  DM_ULOG_CLEAR_REGION,
  DM_ULOG_CTR,
  DM_ULOG_DTR,
  DM_ULOG_FLUSH,
  DM_ULOG_GET_REGION_SIZE,
  DM_ULOG_GET_RESYNC_WORK,
  DM_ULOG_GET_SYNC_COUNT,
  DM_ULOG_IN_SYNC,
  DM_ULOG_IS_CLEAN,
  DM_ULOG_IS_REMOTE_RECOVERING,
  DM_ULOG_MARK_REGION,
  DM_ULOG_NAMES,
  DM_ULOG_POSTSUSPEND,
  DM_ULOG_PRESUSPEND,
  DM_ULOG_REQUEST_MASK,
  DM_ULOG_RESUME,
  DM_ULOG_SET_REGION_SYNC,
  DM_ULOG_STATUS_INFO,
  DM_ULOG_STATUS_TABLE,
  DM_UUID_LEN,
  type DmLogRequestName,
} from "./constants.ts";

/** Byte offsets in `struct dm_ulog_request` (dm-log-userspace.h); SIZE is where `data[]` begins. */
export const DM_ULOG_REQUEST = {
  luid: 0,
  uuid: 8,
  padding: 137,
  version: 140,
  error: 144,
  seq: 148,
  request_type: 152,
  data_size: 156,
  SIZE: 160,
} as const;

/** Byte offsets in the payloads that are structures (described in dm-log-userspace.h, which does not name them). */
export const RESYNC_WORK = { i: 0, r: 8, SIZE: 16 } as const;
/** Byte offsets in the payload of DM_ULOG_SET_REGION_SYNC. */
export const REGION_SYNC = { r: 0, i: 8, SIZE: 16 } as const;
/** Byte offsets in the answer to DM_ULOG_IS_REMOTE_RECOVERING. */
export const REMOTE_RECOVERING = { is_recovering: 0, in_sync_hint: 8, SIZE: 16 } as const;

/** Room for a status when the request is repeated; a longer one is lost once, which is harmless. */
const STATUS_ROOM = 128;

/** Bytes of one region number. */
const REGION_BYTES = 8;

/** Fields of every request. */
export interface DmLogRequestCommon {
  /** Identifies the log on this machine until it is destroyed. */
  readonly luid: bigint;
  /** Identifies the log anywhere; while a table is being replaced, two logs have the same one. */
  readonly uuid: string;
  /** 2 or 3; current kernels send 3. */
  readonly version: number;
  /** The number by which the kernel matches the reply. A repeated request has a new one. */
  readonly seq: number;
}

/** DM_ULOG_CTR: create a log. */
export interface DmLogCtr extends DmLogRequestCommon {
  /** The discriminant. */
  readonly type: "ctr";
  /** The length of the target in sectors of 512 bytes, then the arguments of the table line. */
  readonly args: readonly string[];
  /**
   * Whether the kernel already has the log and reconnects to a server. Then the text ends with a NUL, which the first
   * request lacks, and the kernel refuses a reply that names a device.
   */
  readonly again: boolean;
}

/** DM_ULOG_DTR: destroy the log. Known kernels send no `args`. */
export interface DmLogDtr extends DmLogRequestCommon {
  /** The discriminant. */
  readonly type: "dtr";
  /** The arguments that the log was created with. */
  readonly args: readonly string[];
}

/** Requests without data. */
export interface DmLogPlain extends DmLogRequestCommon {
  /** The request. */
  readonly type:
    | "presuspend"
    | "postsuspend"
    | "resume"
    | "get_region_size"
    | "get_resync_work"
    | "get_sync_count"
    | "status_info"
    | "status_table";
}

/** Queries about one region. */
export interface DmLogRegionQuestion extends DmLogRequestCommon {
  /** The request. */
  readonly type: "is_clean" | "in_sync" | "is_remote_recovering";
  /** The number of the region, from 0. */
  readonly region: bigint;
}

/** Requests for several regions. A flush first marks its regions; before version 3 it has none. */
export interface DmLogRegions extends DmLogRequestCommon {
  /** The request. */
  readonly type: "mark_region" | "clear_region" | "flush";
  /** The numbers of the regions, from 0. */
  readonly regions: readonly bigint[];
}

/** DM_ULOG_SET_REGION_SYNC: the region was recovered, or a leg of it failed. */
export interface DmLogSetRegionSync extends DmLogRequestCommon {
  /** The discriminant. */
  readonly type: "set_region_sync";
  /** The number of the region, from 0. */
  readonly region: bigint;
  /** Whether it is now the same on all legs. */
  readonly inSync: boolean;
}

/** An unknown request. It must be answered with an error, or the kernel waits for 15 s. */
export interface DmLogUnknown extends DmLogRequestCommon {
  /** The discriminant. */
  readonly type: "unknown";
  /** `request_type & DM_ULOG_REQUEST_MASK`. */
  readonly requestType: number;
  /** A copy of its payload. */
  readonly data: Uint8Array;
}

/** A request of the kernel, by `type`. */
export type DmLogRequest =
  | DmLogCtr
  | DmLogDtr
  | DmLogPlain
  | DmLogRegionQuestion
  | DmLogRegions
  | DmLogSetRegionSync
  | DmLogUnknown;

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

const NAME_OF: ReadonlyMap<number, DmLogRequestName> = new Map(
  Object.entries(DM_ULOG_NAMES).map(([name, type]) => [type, name as DmLogRequestName]),
);

/**
 * Decodes a request of the kernel, the payload of one connector message.
 *
 * @throws {DecodeError} When it is shorter than `struct dm_ulog_request`, than its `data_size`, or than the request
 * requires.
 */
export function decodeDmLogRequest(bytes: Uint8Array): DmLogRequest {
  const { common, requestType, data } = decodeEnvelope(bytes);
  const view = viewOf(data);
  switch (requestType) {
    case DM_ULOG_CTR:
      return { type: "ctr", ...common, args: decodeArgs(data), again: data.at(-1) === 0 };
    case DM_ULOG_DTR:
      return { type: "dtr", ...common, args: decodeArgs(data) };
    case DM_ULOG_PRESUSPEND:
    case DM_ULOG_POSTSUSPEND:
    case DM_ULOG_RESUME:
    case DM_ULOG_GET_REGION_SIZE:
    case DM_ULOG_GET_RESYNC_WORK:
    case DM_ULOG_GET_SYNC_COUNT:
    case DM_ULOG_STATUS_INFO:
    case DM_ULOG_STATUS_TABLE:
      return { type: NAME_OF.get(requestType) as DmLogPlain["type"], ...common };
    case DM_ULOG_IS_CLEAN:
    case DM_ULOG_IN_SYNC:
    case DM_ULOG_IS_REMOTE_RECOVERING: {
      requireBytes("region", REGION_BYTES, data);
      const type = NAME_OF.get(requestType) as DmLogRegionQuestion["type"];
      return { type, ...common, region: view.getBigUint64(0, LITTLE) };
    }
    case DM_ULOG_FLUSH:
    case DM_ULOG_MARK_REGION:
    case DM_ULOG_CLEAR_REGION: {
      const type = NAME_OF.get(requestType) as DmLogRegions["type"];
      return { type, ...common, regions: decodeRegions(data) };
    }
    case DM_ULOG_SET_REGION_SYNC:
      requireBytes("set_region_sync", REGION_SYNC.SIZE, data);
      return {
        type: "set_region_sync",
        ...common,
        region: view.getBigUint64(REGION_SYNC.r, LITTLE),
        inSync: view.getBigInt64(REGION_SYNC.i, LITTLE) !== 0n,
      };
    default:
      return { type: "unknown", ...common, requestType, data: data.slice() };
  }
}

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

interface Envelope {
  readonly common: DmLogRequestCommon;
  readonly requestType: number;
  readonly error: number;
  readonly data: Uint8Array;
}

function decodeEnvelope(bytes: Uint8Array): Envelope {
  requireBytes("dm_ulog_request", DM_ULOG_REQUEST.SIZE, bytes);
  const view = viewOf(bytes);
  const size = view.getUint32(DM_ULOG_REQUEST.data_size, LITTLE);
  const found = bytes.length - DM_ULOG_REQUEST.SIZE;
  if (size > found) throw new DecodeError("dm_ulog_request.data", size, found);
  return {
    common: {
      luid: view.getBigUint64(DM_ULOG_REQUEST.luid, LITTLE),
      uuid: decodeCString(bytes, DM_ULOG_REQUEST.uuid, DM_ULOG_REQUEST.padding),
      version: view.getUint32(DM_ULOG_REQUEST.version, LITTLE),
      seq: view.getUint32(DM_ULOG_REQUEST.seq, LITTLE),
    },
    requestType: view.getUint32(DM_ULOG_REQUEST.request_type, LITTLE) & DM_ULOG_REQUEST_MASK,
    error: view.getInt32(DM_ULOG_REQUEST.error, LITTLE),
    data: bytes.subarray(DM_ULOG_REQUEST.SIZE, DM_ULOG_REQUEST.SIZE + size),
  };
}

function encodeEnvelope(
  { luid, uuid, version, seq }: DmLogRequestCommon,
  requestType: number,
  error: number,
  data: Uint8Array,
): Uint8Array {
  const name = encodeCString(uuid);
  if (name.length > DM_UUID_LEN) {
    throw new RangeError(
      `Cannot encode dm_ulog_request.uuid: ${name.length} bytes do not fit ${DM_UUID_LEN}`,
    );
  }
  const out = fixedBytes(DM_ULOG_REQUEST.SIZE + data.length);
  const view = viewOf(out);
  view.setBigUint64(DM_ULOG_REQUEST.luid, luid, LITTLE);
  out.set(name, DM_ULOG_REQUEST.uuid);
  view.setUint32(DM_ULOG_REQUEST.version, version, LITTLE);
  view.setInt32(DM_ULOG_REQUEST.error, error, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.seq, seq, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.request_type, requestType, LITTLE);
  view.setUint32(DM_ULOG_REQUEST.data_size, data.length, LITTLE);
  out.set(data, DM_ULOG_REQUEST.SIZE);
  return out;
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

function decodeArgs(data: Uint8Array): string[] {
  return decodeCString(data).split(" ").filter((arg) => arg !== "");
}

function decodeRegions(data: Uint8Array): bigint[] {
  const whole = Math.ceil(data.length / REGION_BYTES) * REGION_BYTES;
  requireBytes("list of regions", whole, data);
  const view = viewOf(data);
  return Array.from({ length: whole / REGION_BYTES }, (_, i) => view.getBigUint64(i * REGION_BYTES, LITTLE));
}

function requireBytes(structure: string, bytes: number, data: Uint8Array): void {
  if (data.length < bytes) throw new DecodeError(structure, bytes, data.length);
}
