import { DecodeError } from "../../errors/decode_error.ts";
import { fixedBytes, LITTLE, viewOf } from "../../wire/bytes.ts";
import { encodeCString } from "../../wire/text.ts";

/** Byte offsets in `struct v86_regs` (include/uapi/video/uvesafb.h). */
export const V86_REGS = {
  ebx: 0,
  ecx: 4,
  edx: 8,
  esi: 12,
  edi: 16,
  ebp: 20,
  eax: 24,
  eip: 28,
  eflags: 32,
  esp: 36,
  cs: 40,
  ss: 42,
  es: 44,
  ds: 46,
  fs: 48,
  gs: 50,
  SIZE: 52,
} as const;

/** Byte offsets in `struct uvesafb_task` (include/uapi/video/uvesafb.h); SIZE is where the buffer begins. */
export const UVESAFB_TASK = { flags: 0, buf_len: 4, regs: 8, SIZE: 60 } as const;

/** Byte offsets in `struct vbe_ib`, packed (include/uapi/video/uvesafb.h). */
export const VBE_IB = {
  vbe_signature: 0,
  vbe_version: 4,
  oem_string_ptr: 6,
  capabilities: 10,
  mode_list_ptr: 14,
  total_memory: 18,
  oem_software_rev: 20,
  oem_vendor_name_ptr: 22,
  oem_product_name_ptr: 26,
  oem_product_rev_ptr: 30,
  reserved: 34,
  oem_data: 256,
  misc_data: 512,
  SIZE: 1024,
} as const;

/** Byte offsets in `struct vbe_mode_ib`, packed (include/video/uvesafb.h, not a uapi header). */
export const VBE_MODE_IB = {
  mode_attr: 0,
  winA_attr: 2,
  winB_attr: 3,
  win_granularity: 4,
  win_size: 6,
  winA_seg: 8,
  winB_seg: 10,
  win_func_ptr: 12,
  bytes_per_scan_line: 16,
  x_res: 18,
  y_res: 20,
  x_char_size: 22,
  y_char_size: 23,
  planes: 24,
  bits_per_pixel: 25,
  banks: 26,
  memory_model: 27,
  bank_size: 28,
  image_pages: 29,
  reserved1: 30,
  red_len: 31,
  red_off: 32,
  green_len: 33,
  green_off: 34,
  blue_len: 35,
  blue_off: 36,
  rsvd_len: 37,
  rsvd_off: 38,
  direct_color_info: 39,
  phys_base_ptr: 40,
  reserved2: 44,
  lin_bytes_per_scan_line: 50,
  bnk_image_pages: 52,
  lin_image_pages: 53,
  lin_red_len: 54,
  lin_red_off: 55,
  lin_green_len: 56,
  lin_green_off: 57,
  lin_blue_len: 58,
  lin_blue_off: 59,
  lin_rsvd_len: 60,
  lin_rsvd_off: 61,
  max_pixel_clock: 62,
  mode_id: 66,
  depth: 68,
  SIZE: 69,
} as const;

/** Registers of the virtual 8086 processor, `struct v86_regs`: 32 bits unsigned, the segments 16. */
export interface V86Regs {
  /** The register EBX. */
  readonly ebx: number;
  /** The register ECX. */
  readonly ecx: number;
  /** The register EDX. */
  readonly edx: number;
  /** The register ESI. */
  readonly esi: number;
  /** The register EDI. */
  readonly edi: number;
  /** The register EBP. */
  readonly ebp: number;
  /** The register EAX. */
  readonly eax: number;
  /** The register EIP. */
  readonly eip: number;
  /** The register EFLAGS. */
  readonly eflags: number;
  /** The register ESP. */
  readonly esp: number;
  /** The register CS. */
  readonly cs: number;
  /** The register SS. */
  readonly ss: number;
  /** The register ES. */
  readonly es: number;
  /** The register DS. */
  readonly ds: number;
  /** The register FS. */
  readonly fs: number;
  /** The register GS. */
  readonly gs: number;
}

/** A task of the framebuffer driver, or its result, `struct uvesafb_task`. */
export interface UvesafbTask {
  /** `TF_VBEIB` and the others. */
  readonly flags: number;
  /** The registers of the call, or after it. */
  readonly regs: V86Regs;
  /** The buffer that the registers point to. After decoding, a view of the decoded bytes. */
  readonly buffer: Uint8Array;
}

/** Information about a video card, `struct vbe_ib`. */
export interface VbeInfo {
  /** BCD: 0x0300 is 3.0. The driver requires at least 2.0. */
  readonly version: number;
  /** Bit 0: the palette can have 8 bits a channel. Bit 1: it is not compatible with VGA. */
  readonly capabilities: number;
  /** Video memory in units of 64 KiB. */
  readonly totalMemory: number;
  /** The version of the card's BIOS, BCD. */
  readonly oemSoftwareRev: number;
  /** A description of the card. Empty texts are omitted; all four together have 222 bytes. */
  readonly oemString: string;
  /** The manufacturer. */
  readonly oemVendorName: string;
  /** The product name. */
  readonly oemProductName: string;
  /** The product revision. */
  readonly oemProductRev: string;
  /** The numbers of its modes, up to 255. */
  readonly modes: readonly number[];
}

/** A colour channel of a mode. */
interface VbeChannel {
  /** The number of bits. */
  readonly length: number;
  /** The position of its lowest bit. */
  readonly offset: number;
}

/** A mode of a video card: the part of `struct vbe_mode_ib` that a framebuffer needs. */
export interface VbeMode {
  /** `VBE_MODE_MASK`, or the driver skips the mode. */
  readonly modeAttr: number;
  /** Width in pixels. */
  readonly xRes: number;
  /** Height in pixels. */
  readonly yRes: number;
  /** Bits per pixel, including unused ones. */
  readonly bitsPerPixel: number;
  /** Bytes from one line to the next. */
  readonly bytesPerScanLine: number;
  /** 4 packed pixels, 6 direct colour. */
  readonly memoryModel: number;
  /** The red channel. */
  readonly red: VbeChannel;
  /** The green channel. */
  readonly green: VbeChannel;
  /** The blue channel. */
  readonly blue: VbeChannel;
  /** The unused bits. */
  readonly reserved: VbeChannel;
  /** The physical address of the linear framebuffer. */
  readonly physBase: number;
  /** In Hz; 0 if unknown. */
  readonly maxPixelClock: number;
}

/** Where the texts are in `struct vbe_ib`, and what ends the mode list. The driver reads pointers as offsets. */
const OEM_TEXTS_AT = VBE_IB.reserved;
const OEM_TEXTS_END = VBE_IB.oem_data;
const MODE_LIST_END = 0xffff;

/**
 * Reads a `struct uvesafb_task` and its buffer, the payload of one connector message.
 *
 * @throws {DecodeError} When it is shorter than the structure, or than its `buf_len`, or `buf_len` is negative.
 */
export function decodeUvesafbTask(bytes: Uint8Array): UvesafbTask {
  if (bytes.length < UVESAFB_TASK.SIZE) {
    throw new DecodeError("uvesafb_task", UVESAFB_TASK.SIZE, bytes.length);
  }
  const view = viewOf(bytes);
  const length = view.getInt32(UVESAFB_TASK.buf_len, LITTLE);
  const found = bytes.length - UVESAFB_TASK.SIZE;
  if (length < 0 || length > found) throw new DecodeError("uvesafb_task buffer", length >>> 0, found);
  return {
    flags: view.getUint8(UVESAFB_TASK.flags),
    regs: decodeRegs(view, UVESAFB_TASK.regs),
    buffer: bytes.subarray(UVESAFB_TASK.SIZE, UVESAFB_TASK.SIZE + length),
  };
}

/** The bytes of a `struct uvesafb_task` and its buffer. */
export function encodeUvesafbTask(task: UvesafbTask): Uint8Array {
  const out = fixedBytes(UVESAFB_TASK.SIZE + task.buffer.length);
  const view = viewOf(out);
  view.setUint8(UVESAFB_TASK.flags, task.flags);
  view.setInt32(UVESAFB_TASK.buf_len, task.buffer.length, LITTLE);
  encodeRegsInto(view, UVESAFB_TASK.regs, task.regs);
  out.set(task.buffer, UVESAFB_TASK.SIZE);
  return out;
}

/**
 * The bytes of a `struct vbe_ib`, with the texts in `reserved` and the modes in `misc_data`.
 *
 * @throws {RangeError} When the texts or the modes do not fit.
 */
export function encodeVbeInfo(info: VbeInfo): Uint8Array {
  const out = fixedBytes(VBE_IB.SIZE);
  const view = viewOf(out);
  out.set([0x56, 0x45, 0x53, 0x41], VBE_IB.vbe_signature); // "VESA"
  view.setUint16(VBE_IB.vbe_version, info.version, LITTLE);
  view.setUint32(VBE_IB.capabilities, info.capabilities, LITTLE);
  view.setUint16(VBE_IB.total_memory, info.totalMemory, LITTLE);
  view.setUint16(VBE_IB.oem_software_rev, info.oemSoftwareRev, LITTLE);
  let textAt: number = OEM_TEXTS_AT;
  const texts = [
    [VBE_IB.oem_string_ptr, info.oemString],
    [VBE_IB.oem_vendor_name_ptr, info.oemVendorName],
    [VBE_IB.oem_product_name_ptr, info.oemProductName],
    [VBE_IB.oem_product_rev_ptr, info.oemProductRev],
  ] as const;
  for (const [pointer, text] of texts) {
    if (text === "") continue;
    const bytes = encodeCString(text);
    if (textAt + bytes.length > OEM_TEXTS_END) {
      throw new RangeError(
        `Cannot encode vbe_ib: its texts do not fit ${OEM_TEXTS_END - OEM_TEXTS_AT} bytes`,
      );
    }
    out.set(bytes, textAt);
    view.setUint32(pointer, textAt, LITTLE);
    textAt += bytes.length;
  }
  const room = (VBE_IB.SIZE - VBE_IB.misc_data) / 2 - 1;
  if (info.modes.length > room) {
    throw new RangeError(`Cannot encode vbe_ib: ${info.modes.length} modes are more than ${room}`);
  }
  view.setUint32(VBE_IB.mode_list_ptr, VBE_IB.misc_data, LITTLE);
  [...info.modes, MODE_LIST_END].forEach((mode, i) => view.setUint16(VBE_IB.misc_data + 2 * i, mode, LITTLE));
  return out;
}

/** The bytes of a `struct vbe_mode_ib` with one plane, and the same layout for banked and linear use. */
export function encodeVbeMode(mode: VbeMode): Uint8Array {
  const out = fixedBytes(VBE_MODE_IB.SIZE);
  const view = viewOf(out);
  view.setUint16(VBE_MODE_IB.mode_attr, mode.modeAttr, LITTLE);
  view.setUint16(VBE_MODE_IB.x_res, mode.xRes, LITTLE);
  view.setUint16(VBE_MODE_IB.y_res, mode.yRes, LITTLE);
  view.setUint8(VBE_MODE_IB.bits_per_pixel, mode.bitsPerPixel);
  view.setUint16(VBE_MODE_IB.bytes_per_scan_line, mode.bytesPerScanLine, LITTLE);
  view.setUint16(VBE_MODE_IB.lin_bytes_per_scan_line, mode.bytesPerScanLine, LITTLE);
  view.setUint8(VBE_MODE_IB.planes, 1);
  view.setUint8(VBE_MODE_IB.banks, 1);
  view.setUint8(VBE_MODE_IB.x_char_size, 8);
  view.setUint8(VBE_MODE_IB.y_char_size, 16);
  view.setUint8(VBE_MODE_IB.memory_model, mode.memoryModel);
  const channels = [
    [VBE_MODE_IB.red_len, VBE_MODE_IB.lin_red_len, mode.red],
    [VBE_MODE_IB.green_len, VBE_MODE_IB.lin_green_len, mode.green],
    [VBE_MODE_IB.blue_len, VBE_MODE_IB.lin_blue_len, mode.blue],
    [VBE_MODE_IB.rsvd_len, VBE_MODE_IB.lin_rsvd_len, mode.reserved],
  ] as const;
  // In both layouts the offset follows the length.
  for (const [banked, linear, { length, offset }] of channels) {
    out.set([length, offset], banked);
    out.set([length, offset], linear);
  }
  view.setUint32(VBE_MODE_IB.phys_base_ptr, mode.physBase, LITTLE);
  view.setUint32(VBE_MODE_IB.max_pixel_clock, mode.maxPixelClock, LITTLE);
  return out;
}

function decodeRegs(view: DataView, at: number): V86Regs {
  return {
    ebx: view.getUint32(at + V86_REGS.ebx, LITTLE),
    ecx: view.getUint32(at + V86_REGS.ecx, LITTLE),
    edx: view.getUint32(at + V86_REGS.edx, LITTLE),
    esi: view.getUint32(at + V86_REGS.esi, LITTLE),
    edi: view.getUint32(at + V86_REGS.edi, LITTLE),
    ebp: view.getUint32(at + V86_REGS.ebp, LITTLE),
    eax: view.getUint32(at + V86_REGS.eax, LITTLE),
    eip: view.getUint32(at + V86_REGS.eip, LITTLE),
    eflags: view.getUint32(at + V86_REGS.eflags, LITTLE),
    esp: view.getUint32(at + V86_REGS.esp, LITTLE),
    cs: view.getUint16(at + V86_REGS.cs, LITTLE),
    ss: view.getUint16(at + V86_REGS.ss, LITTLE),
    es: view.getUint16(at + V86_REGS.es, LITTLE),
    ds: view.getUint16(at + V86_REGS.ds, LITTLE),
    fs: view.getUint16(at + V86_REGS.fs, LITTLE),
    gs: view.getUint16(at + V86_REGS.gs, LITTLE),
  };
}

function encodeRegsInto(view: DataView, at: number, regs: V86Regs): void {
  for (const name of ["ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "eip", "eflags", "esp"] as const) {
    view.setUint32(at + V86_REGS[name], regs[name], LITTLE);
  }
  for (const name of ["cs", "ss", "es", "ds", "fs", "gs"] as const) {
    view.setUint16(at + V86_REGS[name], regs[name], LITTLE);
  }
}
