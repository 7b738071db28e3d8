import assert from "node:assert/strict";
import { test } from "node:test";
import { inWholeLines } from "../../lib/cli/io/descriptor.ts";
import { DescriptorOutput } from "../../lib/cli/io/output.ts";
import { ignoredSignals } from "../../lib/cli/io/signals.ts";

const EAGAIN = 11;
const EPIPE = 32;
const ENOSPC = 28;

/** A pipe with limited room, which takes up to 4096 bytes either whole or not at all. */
class FakePipe {
  text = "";
  room: number;
  refusals = 0;
  readonly #decoder = new TextDecoder();

  constructor(room: number) {
    this.room = room;
  }

  readonly tryWrite = (bytes: Uint8Array): number => {
    const count = bytes.length <= this.room ? bytes.length : bytes.length > 4096 ? this.room : 0;
    if (count === 0) {
      this.refusals++;
      return -EAGAIN;
    }
    this.room -= count;
    this.text += this.#decoder.decode(bytes.slice(0, count), { stream: true });
    return count;
  };
}

const line = `${"x".repeat(99)}\n`;

test("whole lines are written and counted, even if the reader stops reading", async () => {
  const pipe = new FakePipe(65_536 - 50);
  const output = new DescriptorOutput(inWholeLines(pipe.tryWrite), false);
  const written = output.write(line.repeat(1000));
  output.hurry();
  assert.equal(await written, true, "the output is still open");
  assert(pipe.text.endsWith("\n"));
  assert.equal(pipe.text.length, output.linesWritten * 100);
  assert(output.linesWritten > 600 && output.linesWritten < 656, `${output.linesWritten}`);
  pipe.room = Infinity;
  await output.write("late\n");
  assert.doesNotMatch(pipe.text, /late/, "nothing is written after a gap");
});

test("a write waits for room, and the order is kept", async () => {
  const pipe = new FakePipe(0);
  const output = new DescriptorOutput(inWholeLines(pipe.tryWrite), false);
  const writes = Promise.all([output.write("first\n"), output.write("second, é\n")]);
  while (pipe.refusals < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(output.linesWritten, 0);
  pipe.room = 1000;
  assert.deepEqual(await writes, [true, true]);
  assert.deepEqual([pipe.text, output.linesWritten], ["first\nsecond, é\n", 2]);
});

test("a line that a pipe takes only in parts is continued", async () => {
  const pipe = new FakePipe(5000);
  const output = new DescriptorOutput(inWholeLines(pipe.tryWrite), false);
  const long = `${"é".repeat(5000)}\n`;
  const written = output.write(`${line}${long}${line}`);
  while (pipe.refusals < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(output.linesWritten, 1);
  pipe.room = Infinity;
  await written;
  assert.deepEqual([pipe.text === `${line}${long}${line}`, output.linesWritten], [true, 3]);
});

test("a number of lines that is given is taken when all is written at once, and counted anew otherwise", async () => {
  const pipe = new FakePipe(Infinity);
  const output = new DescriptorOutput(pipe.tryWrite, false);
  await output.write("one\ntwo\n", 2);
  assert.equal(output.linesWritten, 2);
  const part = new DescriptorOutput((bytes) => bytes.length > 4 ? 4 : -EPIPE, false);
  assert.equal(await part.write("one\ntwo\n", 2), false);
  assert.equal(part.linesWritten, 1);
});

test("a closed output is a result, and other failures are thrown", async () => {
  const closed = new DescriptorOutput(() => -EPIPE, false);
  assert.deepEqual([await closed.write("a\n"), await closed.write("b\n")], [false, false]);
  const full = new DescriptorOutput(() => -ENOSPC, false);
  await assert.rejects(full.write("a\n"), /^SyscallError: Cannot write the output: write failed with ENOSPC/);
});

test("ignoredSignals() reads the mask of /proc/PID/status", () => {
  const status = (mask: string): string => `SigBlk:\t0000000000000000\nSigIgn:\t${mask}\nSigCgt:\t0\n`;
  assert.deepEqual([...ignoredSignals(status("0000000000000001"))], ["SIGHUP"]);
  assert.deepEqual([...ignoredSignals(status("0000000000001006"))], ["SIGINT"]);
  assert.deepEqual([...ignoredSignals(status("0000000000004003"))], ["SIGINT", "SIGTERM", "SIGHUP"]);
  assert.deepEqual([...ignoredSignals("")], []);
});
