import {
  arrayOf,
  checkFunction,
  checkNumber,
  checkObject,
  checkOptions,
  checkString,
  integer,
  type OptionChecks,
  wrongType,
} from "../../errors/arguments.ts";
import {
  VBE_GET_INFO,
  VBE_GET_MODE_INFO,
  VBE_MODE_MASK,
  VBE_OK,
  VBE_SET_MODE,
  VBE_USE_LFB,
} from "./constants.ts";
import { encodeVbeInfo, encodeVbeMode, type VbeMode } from "./message.ts";
import type { UvesafbAnswer, V86d } from "./serve.ts";

/** A mode of a framebuffer. */
export interface FramebufferMode {
  /** Width in pixels. */
  readonly xRes: number;
  /** Height in pixels. */
  readonly yRes: number;
  /** 16 (5, 6 and 5 bits) or 32 (8 each). Default 16. */
  readonly bitsPerPixel?: 16 | 32 | undefined;
}

/** Options of {@linkcode linearFramebuffer}. */
export interface FramebufferOptions {
  /** The physical address of the card's memory, below 4 GiB: the first line of `resource` of the PCI device. */
  readonly physBase: number;
  /** The size of its memory. */
  readonly memoryBytes: number;
  /** Its modes, up to 255. */
  readonly modes: readonly FramebufferMode[];
  /** Its name. Default "linear framebuffer". */
  readonly name?: string | undefined;
  /** Sets a mode. Default: nothing, for a card that the firmware has already set to the mode. */
  readonly setMode?: ((mode: FramebufferMode) => void | Promise<void>) | undefined;
}

const OPTIONS: OptionChecks<FramebufferOptions> = {
  physBase: checkNumber,
  memoryBytes: integer(1, 2 ** 48),
  modes: arrayOf(checkMode),
  name: checkString,
  setMode: checkFunction,
};
const REQUIRED = ["physBase", "memoryBytes", "modes"] as const;

function checkMode(value: unknown, name: string, action: string): void {
  checkObject(value, name, action);
  const { xRes, yRes, bitsPerPixel = 16 } = value as FramebufferMode;
  checkNumber(xRes, `${name}.xRes`, action);
  checkNumber(yRes, `${name}.yRes`, action);
  if (bitsPerPixel !== 16 && bitsPerPixel !== 32) {
    throw wrongType(bitsPerPixel, `${name}.bitsPerPixel`, "16 or 32", action);
  }
}

/** The number of the first mode, in the range that VESA leaves to manufacturers. */
const FIRST_MODE = 0x140;
/** Flags in the mode number. */
const MODE_FLAGS = 0xc800;
/** Length and offset of each channel, in bits. */
const CHANNELS = {
  16: { red: [5, 11], green: [6, 5], blue: [5, 0], reserved: [0, 0] },
  32: { red: [8, 16], green: [8, 8], blue: [8, 0], reserved: [8, 24] },
} as const;
const DIRECT_COLOUR = 6;

/**
 * An implementation for one card whose memory is known, in place of a video BIOS: it reports the modes and the address of
 * the memory, and sets a mode. It has no saved state, no monitor data and no power management.
 *
 * @throws {RangeError} When the address or a mode is impossible.
 */
export function linearFramebuffer(options: FramebufferOptions): V86d {
  const action = "describe a framebuffer";
  checkOptions(options, OPTIONS, action);
  for (const name of REQUIRED) OPTIONS[name](options[name], name, action);
  const { physBase, memoryBytes, modes, name = "linear framebuffer" } = options;
  if (!(Number.isInteger(physBase) && physBase > 0 && physBase < 2 ** 32)) {
    throw new RangeError(`Cannot use ${physBase} as the address of a framebuffer: it must be below 4 GiB`);
  }
  const described = modes.map((mode) => describeMode(mode, physBase, memoryBytes));
  const info = encodeVbeInfo({
    version: 0x0300,
    capabilities: 0,
    totalMemory: Math.floor(memoryBytes / 65_536),
    oemSoftwareRev: 0,
    oemString: name,
    oemVendorName: "",
    oemProductName: "",
    oemProductRev: "",
    modes: modes.map((_, i) => FIRST_MODE + i),
  });
  return async (task) => {
    const done = (buffer?: Uint8Array): UvesafbAnswer => ({ regs: { eax: VBE_OK }, buffer });
    switch (task.regs.eax & 0xffff) {
      case VBE_GET_INFO:
        return done(info);
      case VBE_GET_MODE_INFO: {
        const mode = described[modeIndex(task.regs.ecx)];
        return mode === undefined ? undefined : done(encodeVbeMode(mode));
      }
      case VBE_SET_MODE: {
        const mode = modes[modeIndex(task.regs.ebx)];
        if (mode === undefined || (task.regs.ebx & VBE_USE_LFB) === 0) return undefined;
        await options.setMode?.(mode);
        return done();
      }
      default:
        return undefined;
    }
  };
}

function modeIndex(number: number): number {
  return (number & 0xffff & ~MODE_FLAGS) - FIRST_MODE;
}

function describeMode(mode: FramebufferMode, physBase: number, memoryBytes: number): VbeMode {
  const { xRes, yRes, bitsPerPixel = 16 } = mode;
  const bytesPerScanLine = xRes * bitsPerPixel / 8;
  const fits = [xRes, yRes, bytesPerScanLine].every((value) =>
    Number.isInteger(value) && value > 0 && value < 65_536
  );
  if (!fits || bytesPerScanLine * yRes > memoryBytes) {
    throw new RangeError(
      `Cannot show ${xRes}x${yRes} with ${bitsPerPixel} bits per pixel in ${memoryBytes} bytes`,
    );
  }
  const channel = (name: keyof (typeof CHANNELS)[16]) => {
    const [length, offset] = CHANNELS[bitsPerPixel][name];
    return { length, offset };
  };
  return {
    modeAttr: VBE_MODE_MASK,
    xRes,
    yRes,
    bitsPerPixel,
    bytesPerScanLine,
    memoryModel: DIRECT_COLOUR,
    red: channel("red"),
    green: channel("green"),
    blue: channel("blue"),
    reserved: channel("reserved"),
    physBase,
    maxPixelClock: 0,
  };
}
