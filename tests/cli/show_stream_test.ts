import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import type { LineOutput } from "../../lib/cli/io/output.ts";
import { type Shown, showStream, singly, type StreamFlags } from "../../lib/cli/io/show_stream.ts";
import { StopRequest } from "../../lib/cli/io/signals.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

type Item = { readonly type: "message" | "lost" | "other's" };

const MESSAGE = { type: "message" } as const;
const LOST = { type: "lost" } as const;
const OTHERS = { type: "other's" } as const;

interface Run {
  readonly written: string;
  /** How often the command ended the stream. */
  readonly ends: number;
  /** Whether the output was open at the end. */
  readonly open: boolean;
}

/** Shows these items, after which the stream stays silent until it is ended. `read` is the result of a write. */
async function show(
  items: readonly Item[],
  flags: StreamFlags,
  read: () => Promise<boolean> = () => Promise.resolve(true),
  batched = false,
): Promise<Run> {
  let written = "";
  let ends = 0;
  let end = (): void => {};
  const ending = new Promise<void>((resolve) => end = resolve);
  const stream = async function* (): AsyncGenerator<Item> {
    yield* items;
    await ending;
  };
  const shown: Shown<Item> = {
    batches: batched ? inOneBatch(items, ending) : singly(stream()),
    end: () => {
      ends++;
      end();
    },
    ready: "ready",
    line: ({ type }) => type === "other's" ? undefined : `${type}\n`,
    counts: ({ type }) => type !== "lost",
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
      written += text;
      return await Promise.race([read(), givenUp]);
    },
  };
  const before = SIGNALS.map((signal) => process.listenerCount(signal));
  let open: boolean;
  {
    using stop = new StopRequest();
    open = await showStream(shown, stop, flags, output);
  }
  assert.deepEqual(SIGNALS.map((signal) => process.listenerCount(signal)), before, "no handler is left");
  return { written, ends, open };
}

async function* inOneBatch(items: readonly Item[], ending: Promise<void>): AsyncGenerator<readonly Item[]> {
  yield items;
  await ending;
}

const limits = { timeout: 60_000 };

test("showStream() ends after --count lines, not counting losses", limits, async () => {
  for (const batched of [false, true]) {
    const items = [OTHERS, MESSAGE, LOST, OTHERS, MESSAGE, MESSAGE];
    const shown = await show(items, { count: 2 }, undefined, batched);
    assert.deepEqual(shown, { written: "message\nlost\nmessage\n", ends: 0, open: true });
  }
});

test(
  "showStream() ends when the reader has closed the output, even if the stream is silent",
  limits,
  async () => {
    const shown = await show([MESSAGE, MESSAGE], {}, () => Promise.resolve(false));
    assert.deepEqual(shown, { written: "message\nmessage\n", ends: 1, open: false });
  },
);

test("showStream() ends after --seconds, even while nobody reads", limits, async () => {
  const quiet = await show([MESSAGE], { seconds: 0.05 });
  assert.deepEqual(quiet, { written: "message\n", ends: 1, open: true });
  const stuck = await show([MESSAGE, MESSAGE], { seconds: 0.05 }, () => new Promise(() => {}));
  assert.deepEqual(stuck, { written: "message\nmessage\n", ends: 1, open: true });
});

test("showStream() ends on a signal", limits, async () => {
  for (const signal of ["SIGTERM", "SIGHUP"] as const) { // SIGINT some test runners take for themselves
    const shown = await show([MESSAGE], {}, () => {
      process.kill(process.pid, signal);
      return Promise.resolve(true);
    });
    assert.deepEqual(shown, { written: "message\n", ends: 1, open: true }, signal);
  }
});
