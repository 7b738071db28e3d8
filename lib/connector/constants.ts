/** Identifiers that the kernel has given out, spelled as in include/uapi/linux/connector.h. */
export const CN_IDX_PROC = 0x1;
export const CN_VAL_PROC = 0x1;

/** Below this number an `idx` is for drivers in the kernel. */
export const CN_NETLINK_USERS = 11;

/** The connector's own identifier {-1, -1}, to which requests for notification are sent. */
export const CN_IDX_CONNECTOR = 0xffff_ffff;
export const CN_VAL_CONNECTOR = 0xffff_ffff;
