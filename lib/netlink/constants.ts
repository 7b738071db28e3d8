/** Socket and netlink constants, spelled as in include/uapi/linux and asm-generic/socket.h. */
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const NETLINK_CONNECTOR = 11;

export const SOL_SOCKET = 1;
export const SO_RCVBUF = 8;
export const SO_PASSCRED = 16;
/** SO_RCVTIMEO_OLD and SO_SNDTIMEO_OLD, which are the ones of a 64-bit machine. */
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_ATTACH_FILTER = 26;
export const SO_DETACH_FILTER = 27;
export const SO_RCVBUFFORCE = 33;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;
export const SO_MEMINFO = 55;
export const SCM_CREDENTIALS = 2;

export const SOL_NETLINK = 270;
export const NETLINK_ADD_MEMBERSHIP = 1;
/** 2, whatever the connector's own document says (it says 0). */
export const NETLINK_DROP_MEMBERSHIP = 2;
export const NETLINK_NO_ENOBUFS = 5;
export const NETLINK_LIST_MEMBERSHIPS = 9;

export const MSG_PEEK = 0x02;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;

/** `nlmsg_type` of every connector message. */
export const NLMSG_DONE = 3;
