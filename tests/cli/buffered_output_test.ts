import assert from "node:assert/strict";
import { test } from "node:test";
import { BufferedOutput } from "../../lib/cli/io/output.ts";
import { sleep } from "../support/kernel.ts";

/** An output that records what is written, and returns what `answer` says. */
function scripted(): {
  written: string[];
  answer: Promise<boolean>;
  ends: number;
  buffered: BufferedOutput;
} {
  const self: ReturnType<typeof scripted> = {
    written: [] as string[],
    answer: Promise.resolve(true),
    ends: 0,
    buffered: new BufferedOutput({
      width: () => undefined,
      write: (text) => (self.written.push(text), self.answer),
    }, () => self.ends++),
  };
  return self;
}

test("lines within a moment are combined into one write, in order", async () => {
  const { buffered, written } = scripted();
  for (const text of ["a", "b", "c"]) assert.equal(await buffered.write(text, 1), true);
  assert.deepEqual(written, []);
  await sleep(50);
  assert.deepEqual(written, ["abc"]);
  await buffered.write("d", 1);
  assert.equal(await buffered.flush(), true);
  assert.deepEqual(written, ["abc", "d"]);
  await sleep(30);
  assert.deepEqual(written, ["abc", "d"], "nothing twice");
});

test("a large text is written immediately, and waits for a slow reader", async () => {
  const out = scripted();
  let read!: (reads: boolean) => void;
  out.answer = new Promise((resolve) => read = resolve);
  const much = "x".repeat(40_000);
  let done = false;
  const write = out.buffered.write(much, 1).then(() => done = true);
  await sleep(20);
  assert.deepEqual([out.written.length, done], [1, false]);
  assert.equal(await out.buffered.write("y", 1), true);
  read(true);
  await write;
  await sleep(30);
  assert.deepEqual(out.written, [much, "y"]);
  assert.equal(out.ends, 0);
});

test("a closed output is reported immediately and from then on, and nothing more is written", async () => {
  const out = scripted();
  out.answer = Promise.resolve(false);
  await out.buffered.write("a", 1);
  await sleep(30);
  assert.equal(out.ends, 1);
  assert.equal(await out.buffered.write("b", 1), false);
  assert.equal(await out.buffered.flush(), false);
  assert.deepEqual([out.written, out.ends], [["a"], 1]);
});

test("a failed write is reported immediately, and thrown by every later call", async () => {
  const out = scripted();
  out.answer = Promise.reject(new Error("no space"));
  out.answer.catch(() => {});
  await out.buffered.write("a", 1);
  await sleep(30);
  assert.equal(out.ends, 1);
  await assert.rejects(out.buffered.write("b", 1), /no space/);
  await assert.rejects(out.buffered.flush(), /no space/);
});
