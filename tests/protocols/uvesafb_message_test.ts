import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DecodeError } from "../../lib/errors/decode_error.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import * as c from "../../lib/protocols/uvesafb/constants.ts";
import {
  decodeUvesafbTask,
  encodeUvesafbTask,
  encodeVbeInfo,
  encodeVbeMode,
  UVESAFB_TASK,
  V86_REGS,
  type V86Regs,
  VBE_IB,
  VBE_MODE_IB,
} from "../../lib/protocols/uvesafb/message.ts";
import { uvesafb } from "../../lib/protocols/uvesafb/protocol.ts";
import { decodeVbeInfo, decodeVbeMode, NO_REGS } from "./kernel/uvesafb.ts";
import { compareWithC, whyNoC } from "./vectors/c_program.ts";
import { decodeAmidPoison, plain } from "./vectors/poison.ts";
import * as vectors from "./vectors/uvesafb.ts";

/** `struct vbe_crtc_ib`, which the driver sends with a mode that it sets. */
const VBE_CRTC_IB_SIZE = 59;

/** Including the zeros of the block, which the vector omits. */
const getInfo = new Uint8Array(UVESAFB_TASK.SIZE + VBE_IB.SIZE);
getInfo.set(vectors.getInfoWithoutZeros);

const CAPTURED = [
  [getInfo, c.TF_VBEIB, { eax: c.VBE_GET_INFO }, VBE_IB.SIZE],
  [
    vectors.getModeInfo,
    c.TF_BUF_RET | c.TF_BUF_ESDI,
    { eax: c.VBE_GET_MODE_INFO, ecx: 0x140 },
    VBE_MODE_IB.SIZE,
  ],
  [vectors.ddc, 0, { eax: 0x4f15 }, 0],
  [vectors.stateSize, 0, { eax: 0x4f04, ecx: 0xf }, 0],
  [vectors.setMode, 0, { eax: c.VBE_SET_MODE, ebx: 0x140 | c.VBE_USE_LFB }, VBE_CRTC_IB_SIZE],
  [vectors.textMode, 0, { eax: 3 }, 0],
] as const;

test("decodeUvesafbTask() reads what the driver sent, and encodeUvesafbTask() writes the same", () => {
  for (const [bytes, flags, regs, length] of CAPTURED) {
    const task = decodeUvesafbTask(bytes);
    assert.equal(task.flags, flags);
    assert.deepEqual(task.regs, { ...NO_REGS, ...regs });
    assert.equal(task.buffer.length, length);
    assert.deepEqual([...encodeUvesafbTask(task)], [...bytes]);
  }
  assert.equal(new TextDecoder().decode(decodeUvesafbTask(getInfo).buffer.subarray(0, 4)), "VBE2");
});

test("decodeUvesafbTask() rejects a truncated buffer, and a negative length", () => {
  const whole = vectors.getModeInfo.slice();
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => decodeUvesafbTask(whole.subarray(0, length)), DecodeError);
  }
  viewOf(whole).setInt32(UVESAFB_TASK.buf_len, -1, LITTLE);
  assert.throws(() => decodeUvesafbTask(whole), DecodeError);
});

const INFO = {
  version: 0x0300,
  capabilities: 1,
  totalMemory: 256,
  oemSoftwareRev: 1,
  oemString: "A card",
  oemVendorName: "",
  oemProductName: "Of no maker",
  oemProductRev: "1",
  modes: [0x111, 0x112],
};

test("encodeVbeInfo() writes texts and modes where the driver reads them", () => {
  const bytes = encodeVbeInfo(INFO);
  const view = viewOf(bytes);
  assert.equal(new TextDecoder().decode(bytes.subarray(0, 4)), "VESA");
  assert.equal(view.getUint32(VBE_IB.mode_list_ptr, LITTLE), VBE_IB.misc_data);
  assert.equal(view.getUint16(VBE_IB.misc_data + 4, LITTLE), 0xffff);
  assert.equal(view.getUint32(VBE_IB.oem_vendor_name_ptr, LITTLE), 0);
  assert.deepEqual(decodeVbeInfo(bytes), INFO);
});

test("encodeVbeInfo() rejects what does not fit", () => {
  assert.equal(encodeVbeInfo({ ...INFO, modes: new Array(255).fill(1) }).length, VBE_IB.SIZE);
  assert.throws(() => encodeVbeInfo({ ...INFO, modes: new Array(256).fill(1) }), RangeError);
  assert.throws(() => encodeVbeInfo({ ...INFO, oemString: "x".repeat(222) }), RangeError);
});

test("an out-of-range pointer and an endless mode list in VBE information are rejected", () => {
  const outside = encodeVbeInfo(INFO);
  viewOf(outside).setUint32(VBE_IB.oem_string_ptr, 1024, LITTLE);
  assert.throws(() => decodeVbeInfo(outside), DecodeError);
  const endless = encodeVbeInfo({ ...INFO, modes: new Array(255).fill(1) });
  viewOf(endless).setUint16(1022, 1, LITTLE);
  assert.throws(() => decodeVbeInfo(endless), DecodeError);
  viewOf(endless).setUint32(VBE_IB.mode_list_ptr, 0xffff_ffff, LITTLE);
  assert.throws(() => decodeVbeInfo(endless), DecodeError);
});

const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffff_ffff);
const regs: fc.Arbitrary<V86Regs> = fc.record({
  ...{
    ebx: u32,
    ecx: u32,
    edx: u32,
    esi: u32,
    edi: u32,
    ebp: u32,
    eax: u32,
    eip: u32,
    eflags: u32,
    esp: u32,
  },
  ...{ cs: u16, ss: u16, es: u16, ds: u16, fs: u16, gs: u16 },
});
const text = fc.string({ maxLength: 20 }).filter((text) => !/[\0\ud800-\udfff]/.test(text));
const channel = fc.record({ length: u8, offset: u8 });

test("decoders reverse the encoders", () => {
  fc.assert(fc.property(u8, regs, fc.uint8Array({ maxLength: 100 }), (flags, regs, buffer) => {
    const task = { flags, regs, buffer };
    assert.deepEqual(plain(decodeAmidPoison(decodeUvesafbTask, encodeUvesafbTask(task))), plain(task));
  }));
  const info = fc.record({
    ...{ version: u16, capabilities: u32, totalMemory: u16, oemSoftwareRev: u16 },
    ...{ oemString: text, oemVendorName: text, oemProductName: text, oemProductRev: text },
    modes: fc.array(fc.nat(0xfffe), { maxLength: 255 }),
  });
  fc.assert(fc.property(info, (info) => {
    assert.deepEqual(plain(decodeAmidPoison(decodeVbeInfo, encodeVbeInfo(info))), plain(info));
  }));
  const mode = fc.record({
    ...{ modeAttr: u16, xRes: u16, yRes: u16, bitsPerPixel: u8, bytesPerScanLine: u16, memoryModel: u8 },
    ...{ red: channel, green: channel, blue: channel, reserved: channel, physBase: u32, maxPixelClock: u32 },
  });
  fc.assert(fc.property(mode, (mode) => {
    assert.deepEqual(plain(decodeAmidPoison(decodeVbeMode, encodeVbeMode(mode))), plain(mode));
  }));
});

test("decoders of arbitrary bytes throw DecodeError only, and read nothing outside", () => {
  const describe = (data: Uint8Array) =>
    uvesafb.describe({ id: uvesafb.id, seq: 0, ack: 0, flags: 0, data }, "kernel");
  for (const decode of [decodeUvesafbTask, decodeVbeMode, describe]) {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 140 }), (bytes) => {
      decodeAmidPoison<unknown>(decode, bytes);
    }));
  }
  // With small lengths and pointers, so that not all inputs are rejected at once.
  fc.assert(fc.property(fc.uint8Array({ minLength: 61, maxLength: 200 }), fc.nat(150), (bytes, length) => {
    viewOf(bytes).setInt32(UVESAFB_TASK.buf_len, length, LITTLE);
    decodeAmidPoison(decodeUvesafbTask, bytes);
  }));
  const size = { minLength: VBE_IB.SIZE - 1, maxLength: VBE_IB.SIZE + 1 };
  fc.assert(fc.property(fc.uint8Array(size), fc.array(fc.nat(1100), { minLength: 5 }), (bytes, pointers) => {
    const { oem_string_ptr, mode_list_ptr, oem_vendor_name_ptr, oem_product_name_ptr, oem_product_rev_ptr } =
      VBE_IB;
    const at = [
      oem_string_ptr,
      mode_list_ptr,
      oem_vendor_name_ptr,
      oem_product_name_ptr,
      oem_product_rev_ptr,
    ];
    at.forEach((offset, i) => viewOf(bytes).setUint32(offset, pointers[i]!, LITTLE));
    decodeAmidPoison(decodeVbeInfo, bytes);
  }));
});

test("uvesafb.describe() names the call and the flags, and omits empty registers", () => {
  const message = { id: uvesafb.id, seq: 4, ack: 1, flags: 0, data: vectors.getModeInfo };
  assert.deepEqual(uvesafb.describe(message, "kernel"), {
    call: "get_mode_info",
    flags: ["buf_esdi", "buf_ret"],
    regs: { eax: "0x4f01", ecx: "0x140" },
    buffer: "00".repeat(69),
  });
});

// Not in a uapi header, so it is copied here from the driver.
const STRUCTURES = `
struct vbe_mode_ib {
  __u16 mode_attr;
  __u8 winA_attr, winB_attr;
  __u16 win_granularity, win_size, winA_seg, winB_seg;
  __u32 win_func_ptr;
  __u16 bytes_per_scan_line, x_res, y_res;
  __u8 x_char_size, y_char_size, planes, bits_per_pixel, banks, memory_model, bank_size, image_pages, reserved1;
  __u8 red_len, red_off, green_len, green_off, blue_len, blue_off, rsvd_len, rsvd_off, direct_color_info;
  __u32 phys_base_ptr;
  __u8 reserved2[6];
  __u16 lin_bytes_per_scan_line;
  __u8 bnk_image_pages, lin_image_pages, lin_red_len, lin_red_off, lin_green_len, lin_green_off;
  __u8 lin_blue_len, lin_blue_off, lin_rsvd_len, lin_rsvd_off;
  __u32 max_pixel_clock;
  __u16 mode_id;
  __u8 depth;
} __attribute__((packed));
`;

const HEADERS = ["linux/connector.h", "video/uvesafb.h"];

test("offsets and constants match a C compiler", { skip: whyNoC(HEADERS) }, () => {
  const named = [
    "CN_IDX_V86D",
    "CN_VAL_V86D_UVESAFB",
    "TF_VBEIB",
    "TF_BUF_ESDI",
    "TF_BUF_ESBX",
    "TF_BUF_RET",
  ] as const;
  const preamble = `
#include <linux/connector.h>
#include <video/uvesafb.h>
${
    [...named, "TF_EXIT" as const].map((name) => `_Static_assert(${name} == ${c[name]}, "${name}");`)
      .join("\n")
  }
${STRUCTURES}`;
  compareWithC(preamble, [
    { struct: "struct v86_regs", ours: V86_REGS },
    { struct: "struct uvesafb_task", ours: UVESAFB_TASK },
    { struct: "struct vbe_ib", ours: VBE_IB },
    { struct: "struct vbe_mode_ib", ours: VBE_MODE_IB },
  ]);
});
