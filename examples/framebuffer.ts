/**
 * Replaces /sbin/v86d: starts the VESA framebuffer on a card whose memory is known.
 *
 *   bun examples/framebuffer.ts 0000:00:01.0
 *   modprobe uvesafb mode_option=640x480-16
 */
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import { linearFramebuffer, serveV86d, type V86d } from "../lib/protocols/uvesafb/mod.ts";

const device = argv[2] ?? "0000:00:01.0";
// The first resource of a VGA card is its memory: first and last address, and flags.
const [first, last] = readFileSync(`/sys/bus/pci/devices/${device}/resource`, "utf8").split(/\s+/);
const card = linearFramebuffer({
  physBase: Number(first),
  memoryBytes: Number(last) - Number(first) + 1,
  modes: [{ xRes: 640, yRes: 480 }, { xRes: 800, yRes: 600 }, { xRes: 1024, yRes: 768, bitsPerPixel: 32 }],
});
const logged: V86d = (task) => {
  console.log(`call ${(task.regs.eax & 0xffff).toString(16)} with ${task.buffer.length} bytes`);
  return card(task);
};
await using server = await serveV86d(logged);
console.log("serving");
await server.closed;
