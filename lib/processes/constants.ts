/** Process events, spelled as in include/uapi/linux/cn_proc.h. */
export const PROC_EVENT_NONE = 0x0;
export const PROC_EVENT_FORK = 0x1;
export const PROC_EVENT_EXEC = 0x2;
export const PROC_EVENT_UID = 0x4;
export const PROC_EVENT_GID = 0x40;
export const PROC_EVENT_SID = 0x80;
export const PROC_EVENT_PTRACE = 0x100;
export const PROC_EVENT_COMM = 0x200;
/** A bit for the kernel's filter only: it is never sent as the kind of an event. */
export const PROC_EVENT_NONZERO_EXIT = 0x2000_0000;
export const PROC_EVENT_COREDUMP = 0x4000_0000;
export const PROC_EVENT_EXIT = 0x8000_0000;

/** `enum proc_cn_mcast_op`. */
export const PROC_CN_MCAST_LISTEN = 1;
export const PROC_CN_MCAST_IGNORE = 2;

/** The type of an event that the kernel sends, and that can be asked for. */
export type ProcessEventType =
  | "fork"
  | "exec"
  | "uid"
  | "gid"
  | "sid"
  | "ptrace"
  | "comm"
  | "coredump"
  | "exit";

/** The kernel's number of each type. */
export const PROCESS_EVENT_TYPES: Readonly<Record<ProcessEventType, number>> = {
  fork: PROC_EVENT_FORK,
  exec: PROC_EVENT_EXEC,
  uid: PROC_EVENT_UID,
  gid: PROC_EVENT_GID,
  sid: PROC_EVENT_SID,
  ptrace: PROC_EVENT_PTRACE,
  comm: PROC_EVENT_COMM,
  coredump: PROC_EVENT_COREDUMP,
  exit: PROC_EVENT_EXIT,
};

/** PROC_EVENT_ALL: the one mask with which the kernel's filter lets its own acknowledgement through. */
export const PROC_EVENT_ALL: number =
  (Object.values(PROCESS_EVENT_TYPES).reduce((mask, bit) => mask | bit, 0) | PROC_EVENT_NONZERO_EXIT) >>> 0;
