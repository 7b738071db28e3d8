import { hex } from "./hex.ts";

/**
 * Tasks of the kernel's uvesafb, Linux 6.12 on x86-64 under QEMU's VGA: the fields are those captured there, the bytes
 * between them those of struct uvesafb_task. The buffers, 1024, 69 and 59 zeros but for "VBE2", are left to the test.
 */

/** cn_msg seq 0, ack 3900808925, len 1084. */
export const getInfo = hex`
  01 000000         # flags TF_VBEIB, padding
  00040000          # buf_len 1024
  00000000 00000000 00000000 # ebx, ecx, edx
  00000000 00000000 00000000 # esi, edi, ebp
  004f0000          # eax 0x4f00: VBE information
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;

/** cn_msg seq 1, ack 242791049, len 129. */
export const getModeInfo = hex`
  0a 000000         # flags TF_BUF_RET and TF_BUF_ESDI, padding
  45000000          # buf_len 69
  00000000 11010000 00000000 # ebx, ecx 0x111 the mode, edx
  00000000 00000000 00000000 # esi, edi, ebp
  014f0000          # eax 0x4f01: mode information
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;

/** cn_msg seq 4, ack 3834063404, len 119. */
export const setMode = hex`
  00 000000         # flags none, padding
  3b000000          # buf_len 59
  11410000 00000000 00000000 # ebx 0x4111: mode 0x111 with the linear framebuffer, ecx, edx
  00000000 00000000 00000000 # esi, edi, ebp
  024f0000          # eax 0x4f02: set the mode
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;
