import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BufferedStream, Closing, flatMapStream } from "../lib/stream.ts";

interface Opened {
  readonly stream: BufferedStream<number>;
  readonly demands: () => number;
  readonly closes: () => number;
}

function open(limit?: number, signal?: AbortSignal): Opened {
  let [demands, closes] = [0, 0];
  const stream = new BufferedStream<number>({
    limit,
    signal,
    onDemand: () => demands++,
    onClose: () => closes++,
  });
  return { stream, demands: () => demands, closes: () => closes };
}

function push(stream: BufferedStream<number>, ...values: number[]): void {
  for (const value of values) stream.push(value);
}

/** Ends it and reads what is left. */
async function rest(stream: BufferedStream<number>): Promise<number[]> {
  stream.end();
  const values: number[] = [];
  for await (const value of stream) values.push(value);
  return values;
}

const limits = { timeout: 60_000 };

test(
  "BufferedStream yields what was pushed, in order, and what is queued after its end",
  limits,
  async () => {
    const { stream, closes } = open();
    push(stream, 1, 2);
    assert.equal(stream.last, 2);
    stream.replaceLast(3);
    assert.deepEqual(await rest(stream), [1, 3]);
    push(stream, 4);
    assert.deepEqual([(await stream.next()).done, closes(), stream.last], [true, 1, undefined]);
    await stream.closed;
  },
);

test("BufferedStream requests more when a reader waits, and when it has room again", limits, async () => {
  const { stream, demands } = open(2);
  push(stream, 1, 2);
  assert.deepEqual([stream.isFull, demands()], [true, 0]);
  await stream.next();
  assert.deepEqual([stream.isFull, demands()], [false, 1]);
  await stream.next();
  const waiting = stream.next();
  assert.deepEqual([stream.isAwaited, demands()], [true, 2]);
  push(stream, 3);
  assert.equal(stream.isAwaited, false);
  assert.equal((await waiting).value, 3);
});

test("BufferedStream serves several readers in order", limits, async () => {
  const { stream } = open();
  const waiting = [stream.next(), stream.next(), stream.next()];
  push(stream, 1, 2);
  stream.end();
  assert.deepEqual((await Promise.all(waiting)).map(({ value }) => value), [1, 2, undefined]);
});

test("BufferedStream serves readers in the order of their calls, whenever those come", limits, async () => {
  const { stream } = open();
  const first = stream.next();
  push(stream, 1, 2);
  const second = stream.next(); // before the first has been resumed
  assert.deepEqual((await Promise.all([first, second])).map(({ value }) => value), [1, 2]);
});

test("BufferedStream: any number of readers get each value once and in the order of their calls", async () => {
  const step = fc.constantFrom("next" as const, "turn" as const, "push" as const);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { stream } = open();
      const calls: Promise<IteratorResult<number, undefined>>[] = [];
      let pushed = 0;
      for (const step of steps) {
        if (step === "next") calls.push(stream.next());
        else if (step === "turn") await Promise.resolve();
        else stream.push(pushed++);
      }
      stream.end();
      const read = (await Promise.all(calls)).flatMap(({ value }) => value === undefined ? [] : [value]);
      assert.deepEqual([...read, ...await rest(stream)], Array.from({ length: pushed }, (_, i) => i));
    }),
  );
});

test("BufferedStream closes once: by break, by dispose, by the signal", limits, async () => {
  const left = open();
  push(left.stream, 1, 2);
  for await (const _ of left.stream) break;
  assert.deepEqual([left.closes(), left.stream.isClosed], [1, true]);
  assert.equal((await left.stream.next()).done, true);

  const aborter = new AbortController();
  const aborted = open(undefined, aborter.signal);
  push(aborted.stream, 1);
  aborter.abort(new Error("enough"));
  await assert.rejects(aborted.stream.next(), /enough/);
  assert.equal((await aborted.stream.next()).done, true);
  await assert.rejects(aborted.stream.closed, /enough/);
  await aborted.stream[Symbol.asyncDispose]();
  assert.equal(aborted.closes(), 1);
  assert.throws(() => open(undefined, aborter.signal), /enough/);
});

test("BufferedStream: every waiting reader ends with it, one with what it failed with", limits, async () => {
  const { stream } = open();
  const settled = Promise.allSettled([stream.next(), stream.next(), stream.next()]);
  await Promise.resolve();
  stream.fail(new Error("gone"));
  assert.deepEqual((await settled).map(({ status }) => status), ["rejected", "fulfilled", "fulfilled"]);
});

test(
  "BufferedStream.close() discards what is queued, and a failure that nobody has read",
  limits,
  async () => {
    const { stream } = open();
    push(stream, 1);
    await stream.close();
    assert.equal((await stream.next()).done, true);
    const failed = open();
    failed.stream.fail(new Error("gone"));
    await failed.stream.close();
    assert.equal((await failed.stream.next()).done, true);
  },
);

test("flatMapStream() makes any number of values of each, and closes its source", limits, async () => {
  const source = open();
  const stream = flatMapStream(source.stream, (value) => Array.from({ length: value }, () => value));
  const waiting = [stream.next(), stream.next(), stream.next()];
  push(source.stream, 0, 2, 1, 5);
  assert.deepEqual((await Promise.all(waiting)).map(({ value }) => value), [2, 2, 1]);
  assert.equal(source.stream.last, 5, "no more is read than is asked for");
  await stream.return();
  assert.deepEqual([source.closes(), (await stream.next()).done], [1, true]);
});

test("flatMapStream() ends and fails with its source", limits, async () => {
  const ending = open();
  push(ending.stream, 1);
  ending.stream.end();
  const values: number[] = [];
  for await (const value of flatMapStream(ending.stream, (value) => [value])) values.push(value);
  assert.deepEqual(values, [1]);
  const failing = open();
  const next = flatMapStream(failing.stream, (value) => [value]).next();
  failing.stream.fail(new Error("gone"));
  await assert.rejects(next, /gone/);
  const unread = open();
  const { closed } = flatMapStream(unread.stream, (value) => [value]);
  unread.stream.fail(new Error("gone unread"));
  await assert.rejects(closed, /gone unread/);
});

test("Closing settles once, and returns whether the error reaches a waiter", limits, async () => {
  const silent = new Closing();
  assert.equal(silent.end(new Error("unseen")), false);
  await assert.rejects(silent.promise, /unseen/);
  assert.equal(silent.end(), true);
  const observed = new Closing();
  const seen: unknown[] = [];
  observed.onEnd((error) => seen.push(error) > 0);
  observed.onEnd(() => assert.fail("removed"))();
  assert.equal(observed.end("reason"), true);
  assert.deepEqual([seen, observed.isOver], [["reason"], true]);
});
