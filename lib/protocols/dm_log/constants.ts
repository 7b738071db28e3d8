/** The userspace dirty log of the device-mapper, spelled as in include/uapi/linux/dm-log-userspace.h. */
export const CN_IDX_DM = 0x7;
export const CN_VAL_DM_USERSPACE_LOG = 0x1;

/** Requests from the kernel. */
export const DM_ULOG_CTR = 1;
export const DM_ULOG_DTR = 2;
export const DM_ULOG_PRESUSPEND = 3;
export const DM_ULOG_POSTSUSPEND = 4;
export const DM_ULOG_RESUME = 5;
export const DM_ULOG_GET_REGION_SIZE = 6;
export const DM_ULOG_IS_CLEAN = 7;
export const DM_ULOG_IN_SYNC = 8;
export const DM_ULOG_FLUSH = 9;
export const DM_ULOG_MARK_REGION = 10;
export const DM_ULOG_CLEAR_REGION = 11;
export const DM_ULOG_GET_RESYNC_WORK = 12;
export const DM_ULOG_SET_REGION_SYNC = 13;
export const DM_ULOG_GET_SYNC_COUNT = 14;
export const DM_ULOG_STATUS_INFO = 15;
export const DM_ULOG_STATUS_TABLE = 16;
export const DM_ULOG_IS_REMOTE_RECOVERING = 17;

/** The part of `request_type` that is the request; the rest is reserved. */
export const DM_ULOG_REQUEST_MASK = 0xff;

/** Bytes of a uuid with its NUL (include/uapi/linux/dm-ioctl.h). */
export const DM_UUID_LEN = 129;

/** The names of the requests, by number: the lower-case tail of the constant. */
export const DM_ULOG_NAMES = {
  ctr: DM_ULOG_CTR,
  dtr: DM_ULOG_DTR,
  presuspend: DM_ULOG_PRESUSPEND,
  postsuspend: DM_ULOG_POSTSUSPEND,
  resume: DM_ULOG_RESUME,
  get_region_size: DM_ULOG_GET_REGION_SIZE,
  is_clean: DM_ULOG_IS_CLEAN,
  in_sync: DM_ULOG_IN_SYNC,
  flush: DM_ULOG_FLUSH,
  mark_region: DM_ULOG_MARK_REGION,
  clear_region: DM_ULOG_CLEAR_REGION,
  get_resync_work: DM_ULOG_GET_RESYNC_WORK,
  set_region_sync: DM_ULOG_SET_REGION_SYNC,
  get_sync_count: DM_ULOG_GET_SYNC_COUNT,
  status_info: DM_ULOG_STATUS_INFO,
  status_table: DM_ULOG_STATUS_TABLE,
  is_remote_recovering: DM_ULOG_IS_REMOTE_RECOVERING,
} as const;

/** The name of a request. */
export type DmLogRequestName = keyof typeof DM_ULOG_NAMES;
