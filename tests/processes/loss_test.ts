import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ProcessLostEvent } from "../../lib/processes/event.ts";
import { LossCounter } from "../../lib/processes/loss.ts";

/** For moments that must not be asked for. */
function noClock(): bigint {
  throw new Error("the clock was read although nothing was lost");
}

const at = (ns: bigint) => (): bigint => ns;

test("see() reports nothing where nothing is missing, also over the end of the numbers", () => {
  const loss = new LossCounter(true, 0);
  for (let i = 0; i < 10; i++) {
    assert.equal(loss.observe(0, (0xffff_fffa + i) >>> 0, BigInt(i)), undefined);
    assert.equal(loss.observe(3, i, BigInt(i)), undefined, "each processor counts for itself");
  }
  assert.equal(loss.lost, 0);
});

test("see() reports a gap: how many, where and between which moments", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 100, 1_000n);
  loss.observe(1, 7, 1_500n);
  loss.observe(0, 101, 2_000n);
  assert.deepEqual(loss.observe(0, 105, 3_000n), {
    type: "lost",
    where: "kernel",
    count: 3,
    cpus: [0],
    sinceNs: 2_000n,
    timestampNs: 3_000n,
  });
  assert.equal(loss.observe(0, 106, 3_100n), undefined);
  assert.deepEqual(loss.observe(1, 9, 4_000n), {
    type: "lost",
    where: "kernel",
    count: 1,
    cpus: [1],
    sinceNs: 1_500n,
    timestampNs: 4_000n,
  });
  assert.equal(loss.lost, 4);
});

test("see() reports a gap over the end of the numbers", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 0xffff_fffe, 1n);
  assert.equal(loss.observe(0, 2, 2n)?.count, 3);
  assert.equal(loss.observe(0, 3, 3n), undefined);
  assert.equal(loss.lost, 3);
});

test("see() takes an event with a number behind for a late one, and expects what it did", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 10, 1n);
  assert.equal(loss.observe(0, 9, 2n), undefined);
  assert.equal(loss.observe(0, 10, 3n), undefined, "the same again");
  assert.equal(loss.observe(0, 11, 4n), undefined);
  assert.equal(loss.observe(0, 13, 5n)?.count, 1);
  assert.equal(loss.observe(0, 12, 6n), undefined, "the one that was missed comes after all");
  assert.equal(loss.observe(0, 14, 7n), undefined);
  assert.equal(loss.observe(0, 0xffff_ff00, 8n), undefined);
  assert.equal(loss.observe(0, 15, 9n), undefined);
  assert.equal(loss.lost, 1);
});

test("the first event of a processor shows no gap, wherever its numbers are", () => {
  const loss = new LossCounter(true, 0);
  for (let cpu = 0; cpu < 300; cpu++) assert.equal(loss.observe(cpu, cpu * 12_345_678 >>> 0, 1n), undefined);
});

test("a processor that cannot be takes no memory, and reports nothing", () => {
  const loss = new LossCounter(true, 0);
  for (const cpu of [65_536, 0x7fff_ffff, 0xffff_ffff]) {
    assert.equal(loss.observe(cpu, 1, 1n), undefined);
    assert.equal(loss.observe(cpu, 100, 2n), undefined);
  }
  assert.equal(loss.observe(65_535, 1, 3n), undefined);
  assert.equal(loss.observe(65_535, 3, 4n)?.count, 1);
});

test("settle() reports what the counter says, between the last event and now", () => {
  const loss = new LossCounter(true, 1_000);
  assert.equal(loss.reconcile(1_000, noClock), undefined, "what was dropped before the start is nobody's");
  loss.observe(0, 1, 500n);
  assert.deepEqual(loss.reconcile(1_004, at(900n)), {
    type: "lost",
    where: "kernel",
    count: 4,
    cpus: [],
    sinceNs: 500n,
    timestampNs: 900n,
  });
  assert.equal(loss.reconcile(1_004, noClock), undefined);
  assert.deepEqual(loss.reconcile(1_005, at(950n)), {
    type: "lost",
    where: "kernel",
    count: 1,
    cpus: [],
    sinceNs: 900n,
    timestampNs: 950n,
  });
  assert.equal(loss.lost, 5);
});

test("settle() follows the counter over the end of its 32 bits", () => {
  const loss = new LossCounter(false, 0xffff_fffe);
  assert.equal(loss.reconcile(0xffff_ffff, at(1n))?.count, 1);
  assert.equal(loss.reconcile(3, at(2n))?.count, 4);
  assert.equal(loss.lost, 5);
});

test("drops that a gap shows later are not counted twice", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 1, 1n);
  loss.observe(1, 1, 1n);
  assert.equal(loss.reconcile(5, at(2n))?.count, 5);
  assert.equal(loss.observe(0, 5, 3n), undefined, "three of the five");
  assert.equal(loss.observe(1, 4, 4n), undefined, "and the other two");
  assert.equal(loss.reconcile(5, noClock), undefined);
  const beyond = loss.observe(1, 8, 5n);
  assert.deepEqual([beyond?.count, beyond?.cpus], [3, [1]], "for which there was not even memory");
  assert.equal(loss.lost, 8);
});

test("a gap that the counter confirms later is not counted twice", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 1, 1n);
  assert.equal(loss.observe(0, 6, 2n)?.count, 4);
  assert.equal(loss.reconcile(4, noClock), undefined);
  assert.equal(loss.reconcile(6, at(3n))?.count, 2);
  assert.equal(loss.observe(0, 9, 4n), undefined);
  assert.equal(loss.lost, 6);
});

test("behind a filter only the drop counter counts", () => {
  const loss = new LossCounter(false, 0);
  loss.observe(0, 1, 10n);
  assert.equal(loss.observe(0, 1_000, 20n), undefined);
  assert.equal(loss.observe(0, 5, 30n), undefined);
  assert.deepEqual(loss.reconcile(2, at(40n)), {
    type: "lost",
    where: "kernel",
    count: 2,
    cpus: [],
    sinceNs: 30n,
    timestampNs: 40n,
  });
  assert.equal(loss.lost, 2);
});

test("assure() narrows where a later loss can lie", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 1, 10n);
  loss.checkpoint(50n);
  assert.equal(loss.reconcile(1, at(60n))?.sinceNs, 50n);
});

test("interrupted() reports a loss of unknown size, and counts the new socket's drops from where they are", () => {
  const loss = new LossCounter(true, 0);
  loss.observe(0, 1, 10n);
  assert.equal(loss.reconcile(3, at(20n))?.count, 3);
  assert.deepEqual(loss.restart(100, 30n), {
    type: "lost",
    where: "kernel",
    count: undefined,
    cpus: [],
    sinceNs: 20n,
    timestampNs: 30n,
  });
  assert.equal(loss.reconcile(100, noClock), undefined);
  const more = loss.reconcile(101, at(40n));
  assert.deepEqual([more?.count, more?.sinceNs], [1, 30n]);
  assert.equal(loss.lost, 4);
});

/** One thing that happens in the simulated world. */
type Step =
  | { readonly do: "event"; readonly cpu: number; readonly fate: "delivered" | "dropped" | "failed" }
  | { readonly do: "read"; readonly count: number }
  | { readonly do: "settle" };

const CPUS = 4;
const cpu = fc.nat(CPUS - 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("event" as const),
      cpu,
      fate: fc.constantFrom(
        "delivered" as const,
        "delivered" as const,
        "dropped" as const,
        "failed" as const,
      ),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), count: fc.nat(6) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("settle" as const) }) },
);

/**
 * A kernel with a queue: what it drops for want of room is counted, what it has no memory for is not; either takes a
 * sequence number. The reader sees the queue in order, and the counter at any time.
 */
class World {
  readonly counter: LossCounter;
  readonly reports: ProcessLostEvent[] = [];
  readonly #next: number[];
  readonly #queue: { cpu: number; seq: number; ns: bigint }[] = [];
  readonly #startDrops: number;
  /** What was really lost, by how. */
  dropped = 0;
  failed = 0;
  #ns = 1n;

  constructor(bySequence: boolean, seqs: readonly number[], drops: number) {
    this.counter = new LossCounter(bySequence, drops);
    this.#next = [...seqs];
    this.#startDrops = drops;
  }

  event(cpu: number, fate: "delivered" | "dropped" | "failed"): void {
    const seq = this.#next[cpu]!;
    this.#next[cpu] = (seq + 1) >>> 0;
    this.#ns++;
    if (fate === "delivered") this.#queue.push({ cpu, seq, ns: this.#ns });
    else if (fate === "dropped") this.dropped++;
    else this.failed++;
  }

  read(count: number): void {
    for (const { cpu, seq, ns } of this.#queue.splice(0, count)) {
      this.#report(this.counter.observe(cpu, seq, ns));
    }
  }

  reconcile(): void {
    const drops = (this.#startDrops + this.dropped) >>> 0;
    this.#report(this.counter.reconcile(drops, () => ++this.#ns));
  }

  #report(lost: ProcessLostEvent | undefined): void {
    if (lost === undefined) return;
    assert(lost.count !== undefined && lost.count > 0);
    assert(lost.sinceNs <= lost.timestampNs);
    this.reports.push(lost);
  }

  run(steps: readonly Step[], limit: () => number): void {
    for (const one of steps) {
      if (one.do === "event") this.event(one.cpu, one.fate);
      else if (one.do === "read") this.read(one.count);
      else this.reconcile();
      assert(this.counter.lost <= limit(), "more was reported than lost");
    }
    assert.equal(this.reports.reduce((sum, { count }) => sum + count!, 0), this.counter.lost);
  }
}

const seqs = fc.array(fc.oneof(fc.nat(0xffff_ffff), fc.integer({ min: 0xffff_fff0, max: 0xffff_ffff })), {
  minLength: CPUS,
  maxLength: CPUS,
});
const drops = fc.oneof(
  fc.constant(0),
  fc.nat(0xffff_ffff),
  fc.integer({ min: 0xffff_fff8, max: 0xffff_ffff }),
);
const steps = fc.array(step, { maxLength: 120, size: "max" });

test("what is reported never exceeds what was lost, and equals it once every processor was heard again", () => {
  let lost = 0;
  fc.assert(
    fc.property(seqs, drops, steps, (starts, startDrops, all) => {
      const world = new World(true, starts, startDrops);
      const truth = (): number => world.dropped + world.failed;
      for (let c = 0; c < CPUS; c++) world.event(c, "delivered"); // heard once: a gap needs a place to start
      world.read(CPUS);
      world.run(all, truth);
      for (let c = 0; c < CPUS; c++) world.event(c, "delivered");
      world.read(Infinity);
      world.reconcile();
      assert.equal(world.counter.lost, truth());
      assert.equal(world.reports.reduce((sum, { count }) => sum + count!, 0), truth());
      lost += truth();
    }),
    { numRuns: 2_000 },
  );
  assert(lost > 10_000, "the test would be worth nothing without losses");
});

test("what is reported never exceeds what was lost, whatever is heard first", () => {
  fc.assert(
    fc.property(seqs, drops, steps, (starts, startDrops, all) => {
      const world = new World(true, starts, startDrops);
      world.run(all, () => world.dropped + world.failed);
      world.read(Infinity);
      world.reconcile();
      assert(world.counter.lost >= world.dropped, "the counter always counts");
    }),
    { numRuns: 1_000 },
  );
});

test("behind a filter what is reported is what the kernel counted", () => {
  fc.assert(
    fc.property(seqs, drops, steps, (starts, startDrops, all) => {
      const world = new World(false, starts, startDrops);
      world.run(all, () => world.dropped);
      world.reconcile();
      assert.equal(world.counter.lost, world.dropped);
      for (const { cpus } of world.reports) assert.deepEqual(cpus, []);
    }),
    { numRuns: 1_000 },
  );
});
