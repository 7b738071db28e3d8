import assert from "node:assert/strict";
import { test } from "node:test";
import * as c from "../../lib/protocols/uvesafb/constants.ts";
import { linearFramebuffer } from "../../lib/protocols/uvesafb/framebuffer.ts";
import {
  decodeUvesafbTask,
  encodeUvesafbTask,
  type UvesafbTask,
} from "../../lib/protocols/uvesafb/message.ts";
import { uvesafb } from "../../lib/protocols/uvesafb/protocol.ts";
import { answerTo, serveV86d, type ServeV86dOptions, type V86d } from "../../lib/protocols/uvesafb/serve.ts";
import { decodeVbeInfo, decodeVbeMode, NO_REGS } from "./kernel/uvesafb.ts";
import { Pair, whyNoBus } from "./vectors/pair.ts";

const skip = await whyNoBus(uvesafb.id);

const CARD = { physBase: 0xfd00_0000, memoryBytes: 16 << 20, modes: [{ xRes: 640, yRes: 480 }] };

function task(eax: number, flags = 0, length = 0, regs: Partial<UvesafbTask["regs"]> = {}): UvesafbTask {
  return { flags, regs: { ...NO_REGS, eax, ...regs }, buffer: new Uint8Array(length) };
}

test("answerTo() returns a buffer only on request, and never a longer one", () => {
  const answer = { regs: { eax: c.VBE_OK, ebx: 3 }, buffer: Uint8Array.of(1, 2, 3, 4) };
  const wanted = answerTo(task(c.VBE_GET_MODE_INFO, c.TF_BUF_RET | c.TF_BUF_ESDI, 3, { ecx: 7 }), answer);
  assert.deepEqual([...wanted.buffer], [1, 2, 3]);
  assert.deepEqual(wanted.regs, { ...NO_REGS, eax: c.VBE_OK, ebx: 3, ecx: 7 });
  assert.equal(wanted.flags, c.TF_BUF_RET | c.TF_BUF_ESDI);
  assert.equal(answerTo(task(c.VBE_SET_MODE, c.TF_BUF_ESDI, 59), answer).buffer.length, 0);
  assert.equal(answerTo(task(0x4f04, c.TF_BUF_RET, 8), { regs: {} }).buffer.length, 8);
});

test("answerTo() without a result returns a failed call", () => {
  const failed = answerTo(task(0xabcd_4f15, c.TF_BUF_RET, 8), undefined);
  assert.equal(failed.regs.eax, 0xabcd_014f);
  assert.equal(failed.buffer.length, 0);
});

test("linearFramebuffer() reports its modes, and sets one", async () => {
  const set: unknown[] = [];
  const modes = [{ xRes: 640, yRes: 480 }, { xRes: 1024, yRes: 768, bitsPerPixel: 32 as const }];
  const card = linearFramebuffer({ ...CARD, modes, setMode: (mode) => void set.push(mode) });
  const info = decodeVbeInfo((await card(task(c.VBE_GET_INFO, c.TF_VBEIB, 1024)))!.buffer!);
  assert.deepEqual([info.version, info.totalMemory, info.modes.length], [0x300, 256, 2]);
  const ask = async (ecx: number) => await card(task(c.VBE_GET_MODE_INFO, c.TF_BUF_RET, 69, { ecx }));
  const mode = decodeVbeMode((await ask(info.modes[1]!))!.buffer!);
  assert.equal(mode.modeAttr & c.VBE_MODE_MASK, c.VBE_MODE_MASK);
  assert.deepEqual([mode.xRes, mode.yRes, mode.bitsPerPixel, mode.bytesPerScanLine], [1024, 768, 32, 4096]);
  assert.deepEqual([mode.physBase, mode.red], [CARD.physBase, { length: 8, offset: 16 }]);
  assert.equal(await ask(0x111), undefined);
  const number = info.modes[0]!;
  const done = await card(task(c.VBE_SET_MODE, 0, 59, { ebx: number | c.VBE_USE_LFB | 0x800 }));
  assert.equal(done!.regs.eax, c.VBE_OK);
  assert.deepEqual(set, [modes[0]]);
  assert.equal(await card(task(c.VBE_SET_MODE, 0, 59, { ebx: number })), undefined, "without linear memory");
  assert.equal(await card(task(0x4f15)), undefined);
});

test("linearFramebuffer() rejects impossible options", () => {
  for (
    const wrong of [
      { physBase: 2 ** 32 },
      { physBase: 0 },
      { memoryBytes: 1000 },
      { modes: [{ xRes: 0, yRes: 480 }] },
      { modes: [{ xRes: 65_535, yRes: 1, bitsPerPixel: 32 as const }] },
      { modes: new Array(256).fill({ xRes: 640, yRes: 480 }) },
    ]
  ) {
    assert.throws(
      () => linearFramebuffer({ ...CARD, ...wrong }),
      RangeError,
      JSON.stringify(wrong).slice(0, 60),
    );
  }
});

/** A server, and a program that simulates the driver. */
async function withServer(
  implementation: V86d,
  run: (driver: (task: UvesafbTask) => Promise<UvesafbTask>, closed: Promise<void>) => Promise<void>,
  options: ServeV86dOptions = {},
): Promise<void> {
  await using pair = await Pair.open();
  const { kernel: driver, program: connector } = pair;
  await using server = await serveV86d(implementation, { connector, ...options });
  let seq = 0;
  await run(async (task) => {
    const numbers = { seq: seq++, ack: 0xe87f_0000 + seq };
    const reply = await driver.request(uvesafb.id, encodeUvesafbTask(task), {
      ...numbers,
      group: uvesafb.id.idx,
      isReply: ({ ack }) => ack === numbers.ack,
      timeoutMs: 2000,
    });
    return decodeUvesafbTask(reply.data);
  }, server.closed);
}

test("serveV86d() replies with the task's numbers", { skip }, async () => {
  await withServer(linearFramebuffer(CARD), async (ask) => {
    const info = await ask(task(c.VBE_GET_INFO, c.TF_VBEIB, 1024));
    assert.equal(info.regs.eax, c.VBE_OK);
    assert.equal(decodeVbeInfo(info.buffer).modes.length, 1);
    assert.equal((await ask(task(0x4f15))).regs.eax, c.VBE_FAILED);
  });
});

test("serveV86d() replies for a helper that throws, and reports the error", { skip }, async () => {
  const errors: unknown[] = [];
  const error = new Error("a bug");
  await withServer(() => Promise.reject(error), async (ask) => {
    assert.equal((await ask(task(c.VBE_GET_INFO, c.TF_VBEIB, 1024))).regs.eax, c.VBE_FAILED);
  }, { onError: (error) => errors.push(error) });
  assert.deepEqual(errors, [error]);
});

test("serveV86d() replies even if onError throws", { skip }, async (context) => {
  context.mock.method(console, "error", () => {});
  const fail = () => {
    throw new Error("a bug");
  };
  await withServer(fail, async (ask) => {
    assert.equal((await ask(task(c.VBE_GET_INFO, c.TF_VBEIB, 1024))).regs.eax, c.VBE_FAILED);
  }, { onError: fail });
});

test("serveV86d() ends at the driver's request, without a reply", { skip }, async () => {
  await withServer(linearFramebuffer(CARD), async (ask, closed) => {
    const exit = ask(task(0, c.TF_EXIT)).then(() => "answered", (error: Error) => error.name);
    await closed;
    assert.equal(await exit, "TimeoutError");
  });
});
