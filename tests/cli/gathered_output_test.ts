import assert from "node:assert/strict";
import { test } from "node:test";
import { BufferedOutput } from "../../lib/cli/io/output.ts";
import { sleep } from "../support/kernel.ts";

/** An output that keeps what is written, and answers as it is told. */
function scripted(): {
  written: string[];
  answer: Promise<boolean>;
  ends: number;
  gathered: BufferedOutput;
} {
  const self: ReturnType<typeof scripted> = {
    written: [] as string[],
    answer: Promise.resolve(true),
    ends: 0,
    gathered: new BufferedOutput({
      width: () => undefined,
      write: (text) => (self.written.push(text), self.answer),
    }, () => self.ends++),
  };
  return self;
}

test("what comes within a moment is written at once, in order, and soon", async () => {
  const { gathered, written } = scripted();
  for (const text of ["a", "b", "c"]) assert.equal(await gathered.write(text), true);
  assert.deepEqual(written, []);
  await sleep(50);
  assert.deepEqual(written, ["abc"]);
  await gathered.write("d");
  assert.equal(await gathered.flush(), true);
  assert.deepEqual(written, ["abc", "d"]);
  await sleep(30);
  assert.deepEqual(written, ["abc", "d"], "nothing twice");
});

test("much is written at once, and waits for a reader that is slow", async () => {
  const out = scripted();
  let read!: (reads: boolean) => void;
  out.answer = new Promise((resolve) => read = resolve);
  const much = "x".repeat(40_000);
  let done = false;
  const write = out.gathered.write(much).then(() => done = true);
  await sleep(20);
  assert.deepEqual([out.written.length, done], [1, false]);
  assert.equal(await out.gathered.write("y"), true);
  read(true);
  await write;
  await sleep(30);
  assert.deepEqual(out.written, [much, "y"]);
  assert.equal(out.ends, 0);
});

test("a reader that has gone is told at once and ever after, and nothing more is written", async () => {
  const out = scripted();
  out.answer = Promise.resolve(false);
  await out.gathered.write("a");
  await sleep(30);
  assert.equal(out.ends, 1);
  assert.equal(await out.gathered.write("b"), false);
  assert.equal(await out.gathered.flush(), false);
  assert.deepEqual([out.written, out.ends], [["a"], 1]);
});

test("a write that fails is told at once, and thrown by whatever comes after", async () => {
  const out = scripted();
  out.answer = Promise.reject(new Error("no space"));
  out.answer.catch(() => {});
  await out.gathered.write("a");
  await sleep(30);
  assert.equal(out.ends, 1);
  await assert.rejects(out.gathered.write("b"), /no space/);
  await assert.rejects(out.gathered.flush(), /no space/);
});
