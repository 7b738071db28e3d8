import { hex } from "./hex.ts";

/**
 * Requests of the kernel's dm-log-userspace, Linux 6.12 on x86-64, for the table line
 * "0 32768 mirror userspace 3 LOGUUID-bun core 1024 2 /dev/ram0 0 /dev/ram1 0": the fields are those captured there,
 * the bytes between them those of struct dm_ulog_request.
 */

/** cn_msg seq 1, ack 0. The first request for a log: its text has no NUL. */
export const ctr = hex`
  0034150580 88ffff # luid 0xffff888005153400
  4c4f47555549442d62756e # uuid "LOGUUID-bun", then zeros to 129 bytes
  00 # 118 zeros
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000            # padding
  03000000          # version 3
  00000000          # error 0
  01000000          # seq 1
  01000000          # request_type DM_ULOG_CTR
  0f000000          # data_size 15
  333237363820636f72652031303234 # "32768 core 1024"
`;

/** cn_msg seq 4, ack 0. */
export const resume = hex`
  0034150580 88ffff # luid 0xffff888005153400
  4c4f47555549442d62756e # uuid "LOGUUID-bun", then zeros to 129 bytes
  00 # 118 zeros
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000000000000000000000000000000000000000000000000000000000000000000000000000
  000000            # padding
  03000000          # version 3
  00000000          # error 0
  04000000          # seq 4
  05000000          # request_type DM_ULOG_RESUME
  00000000          # data_size 0
`;
