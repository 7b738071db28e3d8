// The uncompressed kernel out of a bzImage. QEMU starts it directly (PVH), which saves the seconds that
// decompression takes under emulation.

import { gunzipSync } from "node:zlib";
import { run, RunnerError } from "./programs.ts";

const BOOT_MAGIC = 0x53726448; // "HdrS", at 0x202
const SECTOR = 512;

export function extractVmlinux(image: Buffer): Buffer {
  if (image.readUInt32LE(0x202) !== BOOT_MAGIC) {
    throw new RunnerError("Cannot extract the kernel: it is not an x86 bzImage (no HdrS header)");
  }
  const setupSectors = image.readUInt8(0x1f1) || 4;
  const start = (setupSectors + 1) * SECTOR + image.readUInt32LE(0x248);
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c));
  const kernel = decompress(payload);
  if (kernel.readUInt32BE(0) !== 0x7f454c46) {
    throw new RunnerError("Cannot extract the kernel: what the bzImage holds is not an ELF file");
  }
  return kernel;
}

function decompress(payload: Buffer): Buffer {
  if (payload.readUInt16BE(0) === 0x1f8b) return gunzipSync(payload);
  // the kernel's build appends the uncompressed size to every format but gzip, which has it already
  const body = payload.subarray(0, payload.length - 4);
  if (payload.readUInt32BE(0) === 0xfd377a58) return run("xz", ["-dc"], { input: body });
  if (payload.readUInt32BE(0) === 0x28b52ffd) return run("zstd", ["-dcq"], { input: body });
  if (payload.readUInt32BE(0) === 0x02214c18) return run("lz4", ["-dcq"], { input: body });
  throw new RunnerError(`Cannot extract the kernel: unknown compression ${payload.toString("hex", 0, 6)}`);
}
