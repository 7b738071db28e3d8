import type { CnMsg } from "../../connector/message.ts";
import { type JsonValue, type Protocol } from "../../connector/protocol.ts";
import {
  CN_IDX_V86D,
  CN_VAL_V86D_UVESAFB,
  TF_BUF_ESBX,
  TF_BUF_ESDI,
  TF_BUF_RET,
  TF_EXIT,
  TF_VBEIB,
  VBE_NAMES,
} from "./constants.ts";
import { decodeUvesafbTask } from "./message.ts";
import { hexOf } from "../../wire/json.ts";

/** The helper of the VESA framebuffer (drivers/video/fbdev/uvesafb.c). */
export const uvesafb: Protocol = {
  name: "uvesafb",
  title: "Video BIOS calls of the VESA framebuffer, made in user space",
  id: { idx: CN_IDX_V86D, val: CN_VAL_V86D_UVESAFB },
  describe,
};

const FLAGS = [
  ["vbeib", TF_VBEIB],
  ["buf_esdi", TF_BUF_ESDI],
  ["buf_esbx", TF_BUF_ESBX],
  ["buf_ret", TF_BUF_RET],
  ["exit", TF_EXIT],
] as const;

/** Tasks and replies have the same layout; registers that are 0 are omitted. */
function describe(message: CnMsg): JsonValue {
  const task = decodeUvesafbTask(message.data);
  const regs: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(task.regs)) {
    if (value !== 0) regs[name] = `0x${value.toString(16)}`;
  }
  const call = VBE_NAMES[task.regs.eax & 0xffff];
  return {
    ...(call === undefined ? {} : { call }),
    flags: FLAGS.filter(([, bit]) => (task.flags & bit) !== 0).map(([name]) => name),
    regs,
    ...(task.buffer.length === 0 ? {} : { buffer: hexOf(task.buffer) }),
  };
}
