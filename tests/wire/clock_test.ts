import assert from "node:assert/strict";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ERRNO } from "../../lib/errors/errno.ts";
import { bootOffsetNs, monotonicNs, timeNamespaceOffsetNs, WallClock } from "../../lib/procfs/clock.ts";
import { FakeLibc } from "../support/fake_libc.ts";

const SECOND_NS = 1_000_000_000n;

test("monotonicNs() adds seconds and nanoseconds", () => {
  const fake = new FakeLibc();
  fake.nowNs = 12_345_678_901_234_567_890n % (1n << 62n);
  assert.equal(monotonicNs(fake), fake.nowNs);
  const { libc } = openSystem("read the clock");
  const one = monotonicNs(libc);
  assert(one > 0n && monotonicNs(libc) >= one);
});

test("in a time namespace monotonicNs() matches the clock of the events, and bootOffsetNs() the clock of /proc", () => {
  const fake = new FakeLibc();
  fake.files.write(
    "/proc/self/timens_offsets",
    "monotonic      864000         5\nboottime       864000         0\n",
  );
  fake.files.link("/proc/self/ns/time", "time:[4026532000]");
  fake.files.link("/proc/self/ns/time_for_children", "time:[4026532000]");
  fake.nowNs = 864_100n * SECOND_NS;
  assert.equal(timeNamespaceOffsetNs(fake), 864_000n * SECOND_NS + 5n);
  assert.equal(monotonicNs(fake), 100n * SECOND_NS - 5n);
  assert.equal(bootOffsetNs(fake), 864_000n * SECOND_NS + 5n);
  const clock = new WallClock(fake);
  assert.equal(clock.timeMs(100n * SECOND_NS - 5n), Number(fake.nowNs + fake.wallOffsetNs) / 1e6);

  const back = new FakeLibc();
  back.files.write("/proc/self/timens_offsets", "monotonic  -2 500000000\nboottime 0 0\n");
  assert.equal(timeNamespaceOffsetNs(back), -1_500_000_000n);
});

test("offsets for future children do not apply to this process, and an unreadable file is read again later", () => {
  const fake = new FakeLibc();
  fake.files.write("/proc/self/timens_offsets", "monotonic  10 0\nboottime 10 0\n");
  fake.files.link("/proc/self/ns/time", "time:[4026531834]");
  fake.files.link("/proc/self/ns/time_for_children", "time:[4026532000]");
  assert.equal(monotonicNs(fake), fake.nowNs);

  const busy = new FakeLibc();
  busy.files.write("/proc/self/timens_offsets", "monotonic  -10 0\nboottime -10 0\n");
  busy.answers("open", -ERRNO["EMFILE"]!);
  assert.equal(monotonicNs(busy), busy.nowNs);
  assert.equal(monotonicNs(busy), busy.nowNs + 10n * SECOND_NS);
  busy.calls.length = 0;
  monotonicNs(busy);
  assert.deepEqual(busy.calls.map(({ name }) => name), ["clock_gettime"], "it is read once");
});

/** A machine on which each reading of a clock takes a while, and whose wall clock can be set. */
class SlowClocks extends FakeLibc {
  /** What each reading takes, in turn; then 200 ns. */
  readonly delaysNs: bigint[] = [];

  override clock_gettime(clock: number, into: Uint8Array): number {
    this.nowNs += this.delaysNs.shift() ?? 200n;
    return super.clock_gettime(clock, into);
  }

  /** How late `clock` puts a moment, in milliseconds: negative is early. */
  errorMs(clock: WallClock, timestampNs: bigint): number {
    return clock.timeMs(timestampNs) - Number(timestampNs + this.wallOffsetNs) / 1e6;
  }
}

test("WallClock: the first times are correct, even if the first readings are interrupted", () => {
  const fake = new SlowClocks();
  fake.delaysNs.push(0n, 80_000_000n, 80_000_000n, 0n, 0n, 40_000_000n);
  const clock = new WallClock(fake);
  const error = fake.errorMs(clock, fake.nowNs);
  assert(error <= 0 && error > -0.001, `${error} ms`);
});

test("WallClock: times never go back without a step, even if readings are interrupted", () => {
  const fake = new SlowClocks();
  fake.delaysNs.push(...new Array<bigint>(15).fill(900_000n));
  const clock = new WallClock(fake);
  let latest = -Infinity;
  for (let i = 0; i < 2000; i++) {
    fake.delaysNs.push(...[3n, 7n, 11n].map((n) => BigInt(i) * n * 7919n % 1_000_000n));
    clock.readAgain();
    const now = clock.timeMs(fake.nowNs);
    assert(now >= latest, `reading ${i}: ${latest - now} ms back`);
    latest = now;
  }
  const error = fake.errorMs(clock, fake.nowNs);
  assert(error <= 0.0003 && error > -0.01, `${error} ms`); // 0.0002 is the grain of such numbers
});

test("WallClock follows a step of the clock in both directions, without changing earlier times", () => {
  const fake = new SlowClocks();
  const clock = new WallClock(fake);
  for (const stepMs of [3_600_000, -7_200_000, 2, -2]) {
    const beforeNs = fake.nowNs - 1000n;
    const beforeMs = clock.timeMs(beforeNs);
    fake.nowNs += 5n * SECOND_NS;
    fake.wallOffsetNs += BigInt(stepMs) * 1_000_000n;
    clock.readAgain();
    const error = fake.errorMs(clock, fake.nowNs);
    assert(Math.abs(error) < 0.001, `${stepMs} ms: ${error} ms`);
    assert.equal(clock.timeMs(beforeNs), beforeMs, "what was before the step keeps its time");
    for (let i = 0; i < 3; i++) clock.readAgain();
  }
});

test("WallClock agrees with this machine's clock", () => {
  const { libc } = openSystem("read the clock");
  const clock = new WallClock(libc);
  const from = Date.now(); // whole milliseconds
  const now = clock.timeMs(monotonicNs(libc));
  const to = Date.now() + 1;
  assert(from - 0.1 <= now && now <= to + 0.1, `${from} <= ${now} <= ${to}`);
});
