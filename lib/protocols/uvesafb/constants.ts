/** The VESA framebuffer's helper, spelled as in include/uapi/video/uvesafb.h and include/video/uvesafb.h. */
export const CN_IDX_V86D = 0x4;
export const CN_VAL_V86D_UVESAFB = 0x1;

/** Task flags: the buffer is a `struct vbe_ib`. */
export const TF_VBEIB = 0x01;
/** The buffer's address goes to ES:DI. */
export const TF_BUF_ESDI = 0x02;
/** The buffer's address goes to ES:BX. */
export const TF_BUF_ESBX = 0x04;
/** The reply must contain the buffer. */
export const TF_BUF_RET = 0x08;
/** The helper must exit; the kernel does not wait for a reply. */
export const TF_EXIT = 0x10;

/** Bits of `vbe_mode_ib.mode_attr`. */
const VBE_MODE_SUPPORTEDHW = 0x01;
const VBE_MODE_COLOR = 0x08;
const VBE_MODE_GRAPHICS = 0x10;
const VBE_MODE_LFB = 0x80;
/** The driver skips a mode that does not have all of these. */
export const VBE_MODE_MASK: number = VBE_MODE_COLOR | VBE_MODE_SUPPORTEDHW | VBE_MODE_GRAPHICS | VBE_MODE_LFB;

/** The functions of the VESA BIOS extension that the driver calls, in the low 16 bits of `eax`. */
export const VBE_GET_INFO = 0x4f00;
export const VBE_GET_MODE_INFO = 0x4f01;
export const VBE_SET_MODE = 0x4f02;
const VBE_STATE = 0x4f04;
const VBE_SET_DISPLAY_START = 0x4f07;
const VBE_DAC_WIDTH = 0x4f08;
const VBE_PALETTE = 0x4f09;
const VBE_GET_PMI = 0x4f0a;
const VBE_POWER = 0x4f10;
const VBE_DDC = 0x4f15;

/** `eax` of a successful call. */
export const VBE_OK = 0x004f;
/** `eax` of a call that is supported and failed. */
export const VBE_FAILED = 0x014f;

/** A bit in the mode number of VBE_SET_MODE: use the linear framebuffer. */
export const VBE_USE_LFB = 0x4000;

/** The names of the functions. */
export const VBE_NAMES: Readonly<Record<number, string>> = {
  [VBE_GET_INFO]: "get_info",
  [VBE_GET_MODE_INFO]: "get_mode_info",
  [VBE_SET_MODE]: "set_mode",
  [VBE_STATE]: "state",
  [VBE_SET_DISPLAY_START]: "set_display_start",
  [VBE_DAC_WIDTH]: "dac_width",
  [VBE_PALETTE]: "palette",
  [VBE_GET_PMI]: "get_pmi",
  [VBE_POWER]: "power",
  [VBE_DDC]: "ddc",
};
