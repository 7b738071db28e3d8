/** Identifiers that the kernel has given out, spelled as in include/uapi/linux/connector.h. */
export const CN_IDX_PROC = 0x1;
export const CN_VAL_PROC = 0x1;
