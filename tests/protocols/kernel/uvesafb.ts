// How the driver reads a helper's replies.

import { DecodeError } from "../../../lib/errors/decode_error.ts";
import {
  type V86Regs,
  VBE_IB,
  VBE_MODE_IB,
  type VbeInfo,
  type VbeMode,
} from "../../../lib/protocols/uvesafb/message.ts";
import { LITTLE, viewOf } from "../../../lib/wire/bytes.ts";
import { decodeCString } from "../../../lib/wire/text.ts";

/** Registers that are all 0. */
export const NO_REGS: V86Regs = {
  ebx: 0,
  ecx: 0,
  edx: 0,
  esi: 0,
  edi: 0,
  ebp: 0,
  eax: 0,
  eip: 0,
  eflags: 0,
  esp: 0,
  cs: 0,
  ss: 0,
  es: 0,
  ds: 0,
  fs: 0,
  gs: 0,
};

const MODE_LIST_END = 0xffff;

/**
 * Reads a `struct vbe_ib`.
 *
 * @throws {DecodeError} When it is shorter than 1024 bytes, points outside itself, or its mode list does not end.
 */
export function decodeVbeInfo(bytes: Uint8Array): VbeInfo {
  if (bytes.length < VBE_IB.SIZE) throw new DecodeError("vbe_ib", VBE_IB.SIZE, bytes.length);
  const view = viewOf(bytes);
  const modes: number[] = [];
  for (let at = view.getUint32(VBE_IB.mode_list_ptr, LITTLE);; at += 2) {
    if (at + 2 > VBE_IB.SIZE) throw new DecodeError("vbe_ib.mode_list", at + 2, VBE_IB.SIZE);
    const mode = view.getUint16(at, LITTLE);
    if (mode === MODE_LIST_END) break;
    modes.push(mode);
  }
  return {
    version: view.getUint16(VBE_IB.vbe_version, LITTLE),
    capabilities: view.getUint32(VBE_IB.capabilities, LITTLE),
    totalMemory: view.getUint16(VBE_IB.total_memory, LITTLE),
    oemSoftwareRev: view.getUint16(VBE_IB.oem_software_rev, LITTLE),
    oemString: decodeTextAt(bytes, view, VBE_IB.oem_string_ptr),
    oemVendorName: decodeTextAt(bytes, view, VBE_IB.oem_vendor_name_ptr),
    oemProductName: decodeTextAt(bytes, view, VBE_IB.oem_product_name_ptr),
    oemProductRev: decodeTextAt(bytes, view, VBE_IB.oem_product_rev_ptr),
    modes,
  };
}

/**
 * Reads a `struct vbe_mode_ib`.
 *
 * @throws {DecodeError} When it is shorter than 69 bytes.
 */
export function decodeVbeMode(bytes: Uint8Array): VbeMode {
  if (bytes.length < VBE_MODE_IB.SIZE) throw new DecodeError("vbe_mode_ib", VBE_MODE_IB.SIZE, bytes.length);
  const view = viewOf(bytes);
  return {
    modeAttr: view.getUint16(VBE_MODE_IB.mode_attr, LITTLE),
    xRes: view.getUint16(VBE_MODE_IB.x_res, LITTLE),
    yRes: view.getUint16(VBE_MODE_IB.y_res, LITTLE),
    bitsPerPixel: view.getUint8(VBE_MODE_IB.bits_per_pixel),
    bytesPerScanLine: view.getUint16(VBE_MODE_IB.bytes_per_scan_line, LITTLE),
    memoryModel: view.getUint8(VBE_MODE_IB.memory_model),
    red: { length: view.getUint8(VBE_MODE_IB.red_len), offset: view.getUint8(VBE_MODE_IB.red_off) },
    green: { length: view.getUint8(VBE_MODE_IB.green_len), offset: view.getUint8(VBE_MODE_IB.green_off) },
    blue: { length: view.getUint8(VBE_MODE_IB.blue_len), offset: view.getUint8(VBE_MODE_IB.blue_off) },
    reserved: { length: view.getUint8(VBE_MODE_IB.rsvd_len), offset: view.getUint8(VBE_MODE_IB.rsvd_off) },
    physBase: view.getUint32(VBE_MODE_IB.phys_base_ptr, LITTLE),
    maxPixelClock: view.getUint32(VBE_MODE_IB.max_pixel_clock, LITTLE),
  };
}

function decodeTextAt(bytes: Uint8Array, view: DataView, pointer: number): string {
  const at = view.getUint32(pointer, LITTLE);
  if (at === 0) return "";
  if (at >= VBE_IB.SIZE) throw new DecodeError("vbe_ib text", at + 1, VBE_IB.SIZE);
  return decodeCString(bytes, at, VBE_IB.SIZE);
}
