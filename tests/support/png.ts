import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";

/** A picture, by its pixels. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue at a point, as `#rrggbb`. */
  at(x: number, y: number): string;
}

/** Decodes a PNG as Chromium makes it: 8 bits a channel, RGB or RGBA, not interlaced. */
export function decodePng(bytes: Uint8Array): Picture {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const channels = bytes[25] === 6 ? 4 : 3;
  const data = inflateSync(Buffer.concat(parts));
  const stride = width * channels;
  const pixels = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = data[y * (stride + 1)]!;
    for (let i = 0; i < stride; i++) {
      const at = y * stride + i;
      const left = i >= channels ? pixels[at - channels]! : 0;
      const up = y > 0 ? pixels[at - stride]! : 0;
      const corner = i >= channels && y > 0 ? pixels[at - stride - channels]! : 0;
      pixels[at] = data[y * (stride + 1) + 1 + i]! + predicted(filter, left, up, corner);
    }
  }
  return {
    width,
    height,
    at: (x, y) => {
      const at = Math.round(y) * stride + Math.round(x) * channels;
      return `#${
        [...pixels.subarray(at, at + 3)].map((value) => value.toString(16).padStart(2, "0")).join("")
      }`;
    },
  };
}

/** What a filter of PNG adds to a byte. */
function predicted(filter: number, left: number, up: number, corner: number): number {
  switch (filter) {
    case 1:
      return left;
    case 2:
      return up;
    case 3:
      return (left + up) >> 1;
    case 4: {
      const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
      return a <= b && a <= c ? left : b <= c ? up : corner;
    }
    default:
      return 0;
  }
}
