import { DecodeError } from "../../errors/decode_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { decodeCString, encodeCString } from "../../wire/text.ts";
import {
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

/** Bytes of one region number. */
export const REGION_BYTES = 8;

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

/** The types of requests by their numbers. */
export const NAME_OF: ReadonlyMap<number, DmLogRequestName> = new Map(
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

interface Envelope {
  readonly common: DmLogRequestCommon;
  readonly requestType: number;
  readonly error: number;
  readonly data: Uint8Array;
}

/** Decodes what requests and replies have in common. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
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

/** Encodes what requests and replies have in common, with their data. */
export function encodeEnvelope(
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

function decodeArgs(data: Uint8Array): string[] {
  return decodeCString(data).split(" ").filter((arg) => arg !== "");
}

function decodeRegions(data: Uint8Array): bigint[] {
  const whole = Math.ceil(data.length / REGION_BYTES) * REGION_BYTES;
  requireBytes("list of regions", whole, data);
  const view = viewOf(data);
  return Array.from({ length: whole / REGION_BYTES }, (_, i) => view.getBigUint64(i * REGION_BYTES, LITTLE));
}

/** @throws {DecodeError} If there are fewer bytes. */
export function requireBytes(structure: string, bytes: number, data: Uint8Array): void {
  if (data.length < bytes) throw new DecodeError(structure, bytes, data.length);
}
