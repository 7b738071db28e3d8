import { hex } from "../protocols/vectors/hex.ts";

/**
 * Captured from Linux 6.18 on x86-64: whole datagrams. Process 18253 made 18299, which took a session, changed its name,
 * started a thread (18300), changed its ids, became a shell and ended; 18301 aborted; 18302 was traced and killed.
 */

/** The acknowledgement of a LISTEN that was sent with ack 77. */
export const acknowledgement: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  7f65d00d 00000000 # nlmsg_seq 231761279, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  7f65d00d 4e000000 # seq 231761279, ack 78
  2800 0000         # len 40, flags 0
  00000000 00000000 # what PROC_EVENT_NONE, cpu 0
  978709f93b040000  # timestamp_ns 4655627732887
  00000000          # err 0
  00000000 00000000 00000000 00000000 00000000
`;

/** Another program's acknowledgement, on the second processor. */
export const otherProcessor: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  deb8b30e 00000000 # nlmsg_seq 246659294, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  deb8b30e 6e54a3b3 # seq 246659294, ack 3013825646
  2800 0000         # len 40, flags 0
  00000000 01000000 # what PROC_EVENT_NONE, cpu 1
  47c1914c3c040000  # timestamp_ns 4657029169479
  00000000          # err 0
  00000000 00000000 00000000 00000000 00000000
`;

/** A process. */
export const fork: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8065d00d 00000000 # nlmsg_seq 231761280, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8065d00d 00000000 # seq 231761280, ack 0
  2800 0000         # len 40, flags 0
  01000000 00000000 # what PROC_EVENT_FORK, cpu 0
  f19e4ef93b040000  # timestamp_ns 4655632260849
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
  7b470000 7b470000 # child_pid 18299, child_tgid 18299
  00000000 00000000
`;

/** A thread: the parent is that of the process. */
export const forkThread: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8365d00d 00000000 # nlmsg_seq 231761283, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8365d00d 00000000 # seq 231761283, ack 0
  2800 0000         # len 40, flags 0
  01000000 00000000 # what PROC_EVENT_FORK, cpu 0
  6a34bcf93b040000  # timestamp_ns 4655639442538
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
  7c470000 7b470000 # child_pid 18300, child_tgid 18299
  00000000 00000000
`;

export const exec: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8965d00d 00000000 # nlmsg_seq 231761289, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8965d00d 00000000 # seq 231761289, ack 0
  2800 0000         # len 40, flags 0
  02000000 00000000 # what PROC_EVENT_EXEC, cpu 0
  864d15fa3b040000  # timestamp_ns 4655645281670
  7b470000 7b470000 # process_pid 18299, process_tgid 18299
  00000000 00000000 00000000 00000000
`;

/** setresuid(1000, 1001, 1001), by the thread that glibc makes do it, too. */
export const uid: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8665d00d 00000000 # nlmsg_seq 231761286, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8665d00d 00000000 # seq 231761286, ack 0
  2800 0000         # len 40, flags 0
  04000000 00000000 # what PROC_EVENT_UID, cpu 0
  5a3509fa3b040000  # timestamp_ns 4655644489050
  7c470000 7b470000 # process_pid 18300, process_tgid 18299
  e8030000 e9030000 # ruid 1000, euid 1001
  00000000 00000000
`;

/** setresgid(100, 101, 101). */
export const gid: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8565d00d 00000000 # nlmsg_seq 231761285, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8565d00d 00000000 # seq 231761285, ack 0
  2800 0000         # len 40, flags 0
  40000000 00000000 # what PROC_EVENT_GID, cpu 0
  b17e08fa3b040000  # timestamp_ns 4655644442289
  7b470000 7b470000 # process_pid 18299, process_tgid 18299
  64000000 65000000 # rgid 100, egid 101
  00000000 00000000
`;

export const sid: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8165d00d 00000000 # nlmsg_seq 231761281, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8165d00d 00000000 # seq 231761281, ack 0
  2800 0000         # len 40, flags 0
  80000000 00000000 # what PROC_EVENT_SID, cpu 0
  8c829cf93b040000  # timestamp_ns 4655637365388
  7b470000 7b470000 # process_pid 18299, process_tgid 18299
  00000000 00000000 00000000 00000000
`;

export const comm: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8265d00d 00000000 # nlmsg_seq 231761282, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8265d00d 00000000 # seq 231761282, ack 0
  2800 0000         # len 40, flags 0
  00020000 00000000 # what PROC_EVENT_COMM, cpu 0
  b345aff93b040000  # timestamp_ns 4655638594995
  7b470000 7b470000 # process_pid 18299, process_tgid 18299
  6e61c3a96d65205c6e22000000000000 # comm "naéme \\n\""
`;

/** PTRACE_SEIZE. */
export const ptrace: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  9165d00d 00000000 # nlmsg_seq 231761297, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  9165d00d 00000000 # seq 231761297, ack 0
  2800 0000         # len 40, flags 0
  00010000 00000000 # what PROC_EVENT_PTRACE, cpu 0
  5ce5a8fa3b040000  # timestamp_ns 4655654954332
  7e470000 7e470000 # process_pid 18302, process_tgid 18302
  4d470000 4d470000 # tracer_pid 18253, tracer_tgid 18253
  00000000 00000000
`;

/** PTRACE_DETACH. */
export const ptraceDetach: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  9565d00d 00000000 # nlmsg_seq 231761301, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  9565d00d 00000000 # seq 231761301, ack 0
  2800 0000         # len 40, flags 0
  00010000 00000000 # what PROC_EVENT_PTRACE, cpu 0
  c8e0aefd3b040000  # timestamp_ns 4655705678024
  7e470000 7e470000 # process_pid 18302, process_tgid 18302
  00000000 00000000 # tracer_pid 0, tracer_tgid 0
  00000000 00000000
`;

/** abort() under a limit of 0: no core was written. */
export const coredump: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8e65d00d 00000000 # nlmsg_seq 231761294, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8e65d00d 00000000 # seq 231761294, ack 0
  2800 0000         # len 40, flags 0
  00000040 00000000 # what PROC_EVENT_COREDUMP, cpu 0
  ffb771fa3b040000  # timestamp_ns 4655651338239
  7d470000 7d470000 # process_pid 18301, process_tgid 18301
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
  00000000 00000000
`;

/** exit(3). */
export const exit: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8c65d00d 00000000 # nlmsg_seq 231761292, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8c65d00d 00000000 # seq 231761292, ack 0
  2800 0000         # len 40, flags 0
  00000080 00000000 # what PROC_EVENT_EXIT, cpu 0
  b9331ffa3b040000  # timestamp_ns 4655645930425
  7b470000 7b470000 # process_pid 18299, process_tgid 18299
  00030000 11000000 # exit_code 768, exit_signal 17
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
`;

/** SIGABRT. */
export const exitAborted: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8f65d00d 00000000 # nlmsg_seq 231761295, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8f65d00d 00000000 # seq 231761295, ack 0
  2800 0000         # len 40, flags 0
  00000080 00000000 # what PROC_EVENT_EXIT, cpu 0
  d8707afa3b040000  # timestamp_ns 4655651909848
  7d470000 7d470000 # process_pid 18301, process_tgid 18301
  06000000 11000000 # exit_code 6, exit_signal 17
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
`;

/** SIGKILL. */
export const exitKilled: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  9665d00d 00000000 # nlmsg_seq 231761302, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  9665d00d 00000000 # seq 231761302, ack 0
  2800 0000         # len 40, flags 0
  00000080 00000000 # what PROC_EVENT_EXIT, cpu 0
  8db4bcfd3b040000  # timestamp_ns 4655706584205
  7e470000 7e470000 # process_pid 18302, process_tgid 18302
  09000000 11000000 # exit_code 9, exit_signal 17
  4d470000 4d470000 # parent_pid 18253, parent_tgid 18253
`;

/** A thread: it was reaped before the event was made, so nobody is its parent. */
export const exitThread: Uint8Array<ArrayBuffer> = hex`
  4c000000 0300 0000 # nlmsg_len 76, nlmsg_type NLMSG_DONE, nlmsg_flags 0
  8865d00d 00000000 # nlmsg_seq 231761288, nlmsg_pid 0
  01000000 01000000 # idx CN_IDX_PROC, val CN_VAL_PROC
  8865d00d 00000000 # seq 231761288, ack 0
  2800 0000         # len 40, flags 0
  00000080 00000000 # what PROC_EVENT_EXIT, cpu 0
  3a380bfa3b040000  # timestamp_ns 4655644620858
  7c470000 7b470000 # process_pid 18300, process_tgid 18299
  00000000 ffffffff # exit_code 0, exit_signal 4294967295
  00000000 00000000 # parent_pid 0, parent_tgid 0
`;
