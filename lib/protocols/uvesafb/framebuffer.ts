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

/** A card whose memory is known. */
export interface FramebufferOptions {
  /** Where its memory begins, a physical address below 4 GiB: the first line of `resource` of the PCI device. */
  readonly physBase: number;
  /** How much memory it has. */
  readonly memoryBytes: number;
  /** What it can show, up to 255. */
  readonly modes: readonly FramebufferMode[];
  /** Its name. Default "linear framebuffer". */
  readonly name?: string | undefined;
  /** Switches the card. Default: it is in that mode already, as after a firmware that draws. */
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

/** The first number of the modes, as VESA numbers those that are not its own. */
const FIRST_MODE = 0x140;
/** Bits of a mode's number that are not its number. */
const MODE_FLAGS = 0xc800;
/** The bits beside the length and the place of each channel. */
const CHANNELS = {
  16: { red: [5, 11], green: [6, 5], blue: [5, 0], reserved: [0, 0] },
  32: { red: [8, 16], green: [8, 8], blue: [8, 0], reserved: [8, 24] },
} as const;
const DIRECT_COLOUR = 6;

/**
 * A helper for one card whose memory is known, in the place of a BIOS: it tells the driver of the modes and where the
 * memory is, and lets it set one. No state, no monitor's data, no power saving.
 *
 * @throws {RangeError} When the address or a mode cannot be.
 */
export function linearFramebuffer(options: FramebufferOptions): V86d {
  const action = "describe a framebuffer";
  checkOptions(options, OPTIONS, action);
  for (const name of REQUIRED) OPTIONS[name](options[name], name, action);
  const { physBase, memoryBytes, modes, name = "linear framebuffer" } = options;
  if (!(Number.isInteger(physBase) && physBase > 0 && physBase < 2 ** 32)) {
    throw new RangeError(`Cannot use ${physBase} as a framebuffer's address: it must be below 4 GiB`);
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
    throw new RangeError(`Cannot show ${xRes}x${yRes} with ${bitsPerPixel} bits in ${memoryBytes} bytes`);
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
