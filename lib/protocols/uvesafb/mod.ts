/**
 * The helper of the framebuffer driver `uvesafb` (v86d): your program makes the video BIOS calls for the kernel.
 * Needs the kernel module `uvesafb` and root.
 *
 * ```ts ignore
 * import { linearFramebuffer, serveV86d } from "kernel-connector/uvesafb";
 *
 * const card = linearFramebuffer({ physBase: 0xfd00_0000, memoryBytes: 16 << 20, modes: [{ xRes: 800, yRes: 600 }] });
 * await using server = await serveV86d(card);
 * await server.closed;
 * ```
 *
 * @module
 */
export type { Server, ServerOptions } from "../../connector/server.ts";
export { type FramebufferMode, type FramebufferOptions, linearFramebuffer } from "./framebuffer.ts";
export type { UvesafbTask, V86Regs } from "./message.ts";
export {
  serveV86d,
  type ServeV86dOptions,
  type UvesafbAnswer,
  type V86d,
  type V86dErrorContext,
  type V86dServer,
  type V86dStats,
} from "./serve.ts";
