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

/** Room for a status that is asked for again; a longer one is lost once, which harms nobody. */
const STATUS_ROOM = 128;

/** Bytes of one region number. */
const REGION_BYTES = 8;

/** What every request carries. */
export interface DmLogRequestCommon {
  /** Names the log on this machine, until it is destroyed. */
  readonly luid: bigint;
  /** Names the log anywhere; two of the same name live while a table is being replaced. */
  readonly uuid: string;
  /** 2 or 3, with current kernels 3. */
  readonly version: number;
  /** The number by which the kernel finds its request again. A repeated request has a new one. */
  readonly seq: number;
}

/** DM_ULOG_CTR: make a log. */
export interface DmLogCtr extends DmLogRequestCommon {
  /** Tells it from the others. */
  readonly type: "ctr";
  /** The length of the target in sectors of 512 bytes, then the arguments of the table line. */
  readonly args: readonly string[];
  /**
   * Whether the kernel has the log already, and looks for its server again: then the text ends with a NUL, which it
   * does not at first, and an answer that names a device would be refused.
   */
  readonly again: boolean;
}

/** DM_ULOG_DTR: the log is no more. `args` is empty with the kernels that we know. */
export interface DmLogDtr extends DmLogRequestCommon {
  /** Tells it from the others. */
  readonly type: "dtr";
  /** As those of the log's making. */
  readonly args: readonly string[];
}

/** The requests that carry nothing. */
export interface DmLogPlain extends DmLogRequestCommon {
  /** Which of them. */
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

/** The questions about one region. */
export interface DmLogRegionQuestion extends DmLogRequestCommon {
  /** Which of them. */
  readonly type: "is_clean" | "in_sync" | "is_remote_recovering";
  /** The number of the region, from 0. */
  readonly region: bigint;
}

/** The requests about several regions. The regions of a flush are marked before it; it has none before version 3. */
export interface DmLogRegions extends DmLogRequestCommon {
  /** Which of them. */
  readonly type: "mark_region" | "clear_region" | "flush";
  /** The numbers of the regions, from 0. */
  readonly regions: readonly bigint[];
}

/** DM_ULOG_SET_REGION_SYNC: the region was recovered, or a leg of it failed. */
export interface DmLogSetRegionSync extends DmLogRequestCommon {
  /** Tells it from the others. */
  readonly type: "set_region_sync";
  /** The number of the region, from 0. */
  readonly region: bigint;
  /** Whether it is the same on all legs now. */
  readonly inSync: boolean;
}

/** A request that this version does not know. It must be answered with an error: the kernel would wait 15 s. */
export interface DmLogUnknown extends DmLogRequestCommon {
  /** Tells it from the others. */
  readonly type: "unknown";
  /** `request_type & DM_ULOG_REQUEST_MASK`. */
  readonly requestType: number;
  /** Its payload, a copy. */
  readonly data: Uint8Array;
}

/** What the kernel asks of a dirty log. Tell them apart by `type`. */
export type DmLogRequest =
  | DmLogCtr
  | DmLogDtr
  | DmLogPlain
  | DmLogRegionQuestion
  | DmLogRegions
  | DmLogSetRegionSync
  | DmLogUnknown;

/** What a server answers. `error` is 0, or a negative error number, and then nothing else is sent. */
export type DmLogReply =
  /** `device` is the log's block device, which the kernel then holds open; undefined for none. */
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
  /** `region` is undefined where there is no work. */
  | { readonly type: "get_resync_work"; readonly error: number; readonly region?: bigint | undefined }
  | { readonly type: "get_sync_count"; readonly error: number; readonly count?: bigint }
  | { readonly type: "status_info" | "status_table"; readonly error: number; readonly text?: string }
  | {
    readonly type: "is_remote_recovering";
    readonly error: number;
    readonly recovering?: boolean;
    /** The lowest region that is not in sync. */
    readonly inSyncHint?: bigint;
  };

const NAME_OF: ReadonlyMap<number, DmLogRequestName> = new Map(
  Object.entries(DM_ULOG_NAMES).map(([name, type]) => [type, name as DmLogRequestName]),
);

/**
 * Reads a request of the kernel, the payload of one connector message.
 *
 * @throws {DecodeError} When it is shorter than `struct dm_ulog_request`, than its `data_size` promises, or than the
 * request needs.
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
      need("region", REGION_BYTES, data);
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
      need("set_region_sync", REGION_SYNC.SIZE, data);
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
 * Reads the answer to a request, as a server sends it.
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
      need("region size", REGION_BYTES, data);
      return { type, error, regionSize: view.getBigUint64(0, LITTLE) };
    case "is_clean":
    case "in_sync":
      need("answer", REGION_BYTES, data);
      return { type, error, value: view.getBigInt64(0, LITTLE) !== 0n };
    case "get_resync_work": {
      need("resync work", RESYNC_WORK.SIZE, data);
      const work = view.getBigInt64(RESYNC_WORK.i, LITTLE) !== 0n;
      return { type, error, region: work ? view.getBigUint64(RESYNC_WORK.r, LITTLE) : undefined };
    }
    case "get_sync_count":
      need("sync count", REGION_BYTES, data);
      return { type, error, count: view.getBigUint64(0, LITTLE) };
    case "status_info":
    case "status_table":
      return { type, error, text: decodeCString(data) };
    case "is_remote_recovering":
      need("remote recovering", REMOTE_RECOVERING.SIZE, data);
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
 * The payload that answers a request. It repeats the request's log and number, by which the kernel finds it. Beside an
 * error there is no data, but zeros beside ESRCH (a log that this server does not know), as the kernel keeps their count
 * as its room for the answer to the same question after it has made the log again.
 *
 * @throws {TypeError} When the answer is to another type of request.
 * @throws {RangeError} When the uuid has more than 128 bytes.
 */
export function encodeDmLogReply(request: DmLogRequest, reply: DmLogReply): Uint8Array {
  if (request.type !== reply.type) {
    throw new TypeError(`Cannot answer ${request.type} with ${reply.type}: it must be the same`);
  }
  const requestType = request.type === "unknown" ? request.requestType : DM_ULOG_NAMES[request.type];
  const data = reply.error === 0
    ? replyData(reply)
    : fixedBytes(reply.error === -ERRNO.ESRCH! ? room(reply) : 0);
  return encodeEnvelope(request, requestType, reply.error, data);
}

/**
 * A bare acknowledgement: a message without a payload. The kernel finds its request by the message's `seq`, takes the
 * error from its `ack`, and takes the request as answered without data. `errno` 11 (EAGAIN) makes it ask again.
 *
 * @param seq The request's.
 * @param errno 0, or a positive error number.
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
  need("dm_ulog_request", DM_ULOG_REQUEST.SIZE, bytes);
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
      // The kernel takes the bytes as they are into a text that it ends nowhere else.
      return encodeCString(reply.text ?? "");
    case "is_remote_recovering":
      return encodeU64s(reply.recovering === true ? 1n : 0n, reply.inSyncHint ?? 0n);
    default:
      return new Uint8Array();
  }
}

/**
 * To ESRCH the kernel makes the log again and asks once more, but with no more room for the answer than this one took:
 * an empty one would make it refuse the next, and then take a region for out of sync and write it on one leg only.
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
  need("list of regions", whole, data);
  const view = viewOf(data);
  return Array.from({ length: whole / REGION_BYTES }, (_, i) => view.getBigUint64(i * REGION_BYTES, LITTLE));
}

function need(structure: string, bytes: number, data: Uint8Array): void {
  if (data.length < bytes) throw new DecodeError(structure, bytes, data.length);
}
