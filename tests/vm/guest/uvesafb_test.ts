// serveV86d() in the place of /sbin/v86d: the kernel's own framebuffer driver comes up on QEMU's VGA.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { VBE_NAMES } from "../../../lib/protocols/uvesafb/constants.ts";
import { linearFramebuffer } from "../../../lib/protocols/uvesafb/framebuffer.ts";
import { serveV86d, type V86d } from "../../../lib/protocols/uvesafb/serve.ts";
import { runProgram, setUpUvesafb, skipWithout, tearDownUvesafb, vgaMemory } from "./support.ts";

const options = { skip: skipWithout("uvesafb") };

function framebuffer(name: string): string {
  return readFileSync(`/sys/class/graphics/fb0/${name}`, "utf8").trim();
}

test("serveV86d() brings a framebuffer up", options, async () => {
  const calls: (string | undefined)[] = [];
  const card = linearFramebuffer({
    physBase: Number(vgaMemory()),
    memoryBytes: 16 << 20,
    modes: [{ xRes: 640, yRes: 480 }, { xRes: 800, yRes: 600 }, { xRes: 640, yRes: 480, bitsPerPixel: 32 }],
  });
  const spied: V86d = (task) => {
    calls.push(VBE_NAMES[task.regs.eax & 0xffff]);
    return card(task);
  };
  await using server = await serveV86d(spied);
  const begin = performance.now();
  try {
    await setUpUvesafb();
    assert.equal(framebuffer("name"), "VESA VGA");
    assert.equal(framebuffer("virtual_size"), "640,480");
    assert.equal(framebuffer("bits_per_pixel"), "16");
    assert.match(readFileSync("/proc/fb", "utf8"), /VESA VGA/);
    const expected = [
      "get_info",
      "get_mode_info",
      "get_mode_info",
      "get_mode_info",
      "ddc",
      "state",
      "set_mode",
    ];
    assert.deepEqual(calls.slice(0, expected.length), expected);
    // An answer that the driver does not take is waited for until its time is up, and then err is 1.
    const log = await runProgram("/run/tools/busybox", ["dmesg"]);
    assert.match(log, /VBE state buffer size cannot be determined \(eax=0x14f, err=0\)/);
    const { answered, failed, malformed } = server.stats();
    console.log(
      `framebuffer up in ${
        Math.round(performance.now() - begin)
      } ms, ${answered} tasks done, ${failed} refused`,
    );
    assert.equal(malformed, 0);
  } finally {
    await tearDownUvesafb();
  }
});

test("the driver does not wait for a helper that throws", options, async () => {
  const errors: unknown[] = [];
  const broken: V86d = () => {
    throw new Error("no such card");
  };
  await using server = await serveV86d(broken, { onError: (error) => errors.push(error) });
  try {
    await setUpUvesafb(); // the module stays, its probe has failed
    assert.equal(existsSync("/sys/class/graphics/fb0"), false);
    assert.equal(errors.length, 1);
    assert.deepEqual(server.stats(), { answered: 0, failed: 1, malformed: 0 });
    const log = await runProgram("/run/tools/busybox", ["dmesg"]);
    assert.match(log, /Getting VBE info block failed \(eax=0x14f, err=0\)/);
  } finally {
    await tearDownUvesafb();
  }
});
