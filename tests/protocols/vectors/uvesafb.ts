import { hex } from "./hex.ts";

/**
 * Tasks of the kernel's uvesafb, captured on Linux 6.12 on x86-64 under QEMU's VGA while `linearFramebuffer()` with one
 * mode of 640x480 answered.
 */

/** VBE information. The connector message has seq 0 and ack 1903294762. */
export const getInfoWithoutZeros = hex`
  01 000000         # flags TF_VBEIB, padding
  00040000          # buf_len 1024
  00000000 00000000 00000000 # ebx, ecx, edx
  00000000 00000000 00000000 # esi, edi, ebp
  004f0000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
  56424532          # "VBE2"; the other 1020 bytes of the block are zeros, and left out here
`;

/** Mode information. The connector message has seq 1 and ack 1375186969. */
export const getModeInfo = hex`
  0a 000000         # flags TF_BUF_RET and TF_BUF_ESDI, padding
  45000000          # buf_len 69
  00000000 40010000 00000000 # ebx, ecx, edx: the mode, 0x140
  00000000 00000000 00000000 # esi, edi, ebp
  014f0000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
  00000000000000000000000000000000000000000000000000000000000000000000000000000000
  0000000000000000000000000000000000000000000000000000000000
`;

/** Whether the monitor reports its data (DDC). The connector message has seq 2 and ack 1494816910. */
export const ddc = hex`
  00 000000         # flags none, padding
  00000000          # buf_len 0
  00000000 00000000 00000000 # ebx, ecx, edx
  00000000 00000000 00000000 # esi, edi, ebp
  154f0000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;

/** How long the saved state is. The connector message has seq 3 and ack 1706310316. */
export const stateSize = hex`
  00 000000         # flags none, padding
  00000000          # buf_len 0
  00000000 0f000000 00000000 # ebx, ecx, edx: all kinds
  00000000 00000000 00000000 # esi, edi, ebp
  044f0000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;

/** Set the mode, with an empty vbe_crtc_ib. The connector message has seq 4 and ack 2960431922. */
export const setMode = hex`
  00 000000         # flags none, padding
  3b000000          # buf_len 59
  40410000 00000000 00000000 # ebx, ecx, edx: mode 0x140 with the linear framebuffer
  00000000 00000000 00000000 # esi, edi, ebp
  024f0000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
  00000000000000000000000000000000000000000000000000000000000000000000000000000000
  00000000000000000000000000000000000000
`;

/** At the end: 80x25 text. The connector message has seq 5 and ack 1991407746. */
export const textMode = hex`
  00 000000         # flags none, padding
  00000000          # buf_len 0
  00000000 00000000 00000000 # ebx, ecx, edx
  00000000 00000000 00000000 # esi, edi, ebp
  03000000          # eax
  00000000 00000000 00000000 # eip, eflags, esp
  0000 0000 0000 0000 0000 0000 # cs, ss, es, ds, fs, gs
`;
