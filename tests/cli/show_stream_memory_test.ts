import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { LineOutput } from "../../lib/cli/io/output.ts";
import { showStream } from "../../lib/cli/io/show_stream.ts";
import { StopRequest } from "../../lib/cli/io/signals.ts";
import { runtime } from "../support/runtimes.ts";

/** Bytes of the heap that are in use after a collection. */
async function heapBytes(): Promise<number> {
  if (runtime === "bun") {
    (globalThis as unknown as { Bun: { gc(now: boolean): void } }).Bun.gc(true);
  } else {
    const { setFlagsFromString } = await import("node:v8");
    setFlagsFromString("--expose-gc");
    const { runInNewContext } = await import("node:vm");
    (runInNewContext("gc") as () => void)();
  }
  return process.memoryUsage().heapUsed;
}

test("showStream() does not retain written lines", {
  skip: runtime === "deno" && "its collector cannot be called from a program",
}, async () => {
  const lines = 100_000;
  let [before, after] = [0, 0];
  const stream = async function* (): AsyncGenerator<readonly string[]> {
    for (let i = 0; i <= lines; i++) {
      if (i === 1000) before = await heapBytes();
      if (i === lines) after = await heapBytes();
      yield ["message"];
    }
  };
  const output: LineOutput = {
    width: () => undefined,
    linesWritten: 0,
    hurry() {},
    write: () => Promise.resolve(true),
  };
  using stop = new StopRequest();
  await showStream({ batches: stream(), end() {}, line: () => "\n" }, stop, {}, output);
  const bytesALine = (after - before) / lines;
  assert(bytesALine < 20, `${bytesALine} bytes a line`);
});
