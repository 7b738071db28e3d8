import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { LineOutput } from "../../lib/cli/io/output.ts";
import { type Shown, showStream, type StreamFlags } from "../../lib/cli/io/show_stream.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Item = { readonly type: "message" | "lost" | "other's" };

const MESSAGE = { type: "message" } as const;
const LOST = { type: "lost" } as const;
const OTHERS = { type: "other's" } as const;

interface Run {
  readonly written: string[];
  /** How often the stream was closed by the command. */
  readonly closed: () => number;
}

/** Shows these items, and then nothing more until the stream is closed. `read` is what a write comes to. */
async function show(
  items: readonly Item[],
  flags: StreamFlags,
  read: () => Promise<boolean> = () => Promise.resolve(true),
): Promise<Run> {
  const written: string[] = [];
  let closed = 0;
  let close = (): void => {};
  const closing = new Promise<void>((resolve) => close = resolve);
  const stream = async function* (): AsyncGenerator<Item> {
    yield* items;
    await closing;
  };
  const shown: Shown<Item> = {
    stream: stream(),
    close: () => {
      closed++;
      close();
    },
    ready: "ready",
    line: ({ type }) => type === "other's" ? undefined : `${type}\n`,
  };
  let isHurried = false;
  let giveUp = (): void => {};
  const givenUp = new Promise<boolean>((resolve) => giveUp = () => resolve(true));
  const output: LineOutput = {
    width: () => undefined,
    linesWritten: 0,
    hurry: () => {
      isHurried = true;
      giveUp();
    },
    write: async (text) => {
      if (isHurried) return true; // given up
      written.push(text);
      return await Promise.race([read(), givenUp]);
    },
  };
  const before = SIGNALS.map((signal) => process.listenerCount(signal));
  await showStream(shown, flags, output);
  assert.deepEqual(SIGNALS.map((signal) => process.listenerCount(signal)), before, "no handler is left");
  return { written, closed: () => closed };
}

const limits = { timeout: 10_000 };

test("showStream() ends after so many lines, of which losses are none", limits, async () => {
  const { written } = await show([OTHERS, MESSAGE, LOST, OTHERS, MESSAGE, MESSAGE], { count: 2 });
  assert.deepEqual(written, ["message\n", "lost\n", "message\n"]);
});

test("showStream() ends when nobody reads any more", limits, async () => {
  const { written, closed } = await show([MESSAGE, MESSAGE], {}, () => Promise.resolve(false));
  assert.deepEqual([written, closed()], [["message\n"], 0]);
});

test("showStream() ends after so many seconds, also while nobody reads", limits, async () => {
  const quiet = await show([MESSAGE], { seconds: 0.05 });
  assert.deepEqual([quiet.written, quiet.closed()], [["message\n"], 1]);
  const stuck = await show([MESSAGE, MESSAGE], { seconds: 0.05 }, () => new Promise(() => {}));
  assert.deepEqual([stuck.written, stuck.closed()], [["message\n"], 1]);
});

test("showStream() ends by a signal", limits, async () => {
  for (const signal of ["SIGTERM", "SIGHUP"] as const) { // SIGINT some test runners take for themselves
    const { written, closed } = await show([MESSAGE], {}, () => {
      process.kill(process.pid, signal);
      return Promise.resolve(true);
    });
    assert.deepEqual([written, closed()], [["message\n"], 1], signal);
  }
});
