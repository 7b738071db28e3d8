import assert from "node:assert/strict";
import { test } from "node:test";
import { type Image, ImageTracker, type OpenImage } from "../../lib/history/images.ts";
import { ENDED, FLAG } from "../../lib/history/schema.ts";
import type { ForkEvent, ProcessEvent } from "../../lib/processes/event.ts";
import { emptyInfo } from "../../lib/processes/info.ts";
import { Events } from "../processes/events.ts";

const SECOND = 1_000_000_000n;

/** Events whose time is set by hand, and a tracker that has seen init alone. */
class Story {
  nowNs = 100n * SECOND;
  readonly events = new Events(() => this.nowNs);
  readonly tracker: ImageTracker;

  constructor(open: readonly OpenImage[] = [], exists: readonly (readonly [number, string, number?])[] = []) {
    this.tracker = new ImageTracker(1, open, (ns) => Number(ns / 10_000_000n));
    this.tracker.apply(
      [[1, "init"] as const, ...exists].map(([pid, comm, ticks]) => this.found(pid, comm, ticks)),
    );
  }

  found(pid: number, comm: string, startTimeTicks: number = 100): ForkEvent {
    const process = { ...emptyInfo(pid, undefined), comm, exe: `/bin/${comm}`, parentPid: pid === 1 ? 0 : 1 };
    const startNs = BigInt(startTimeTicks) * 10_000_000n;
    return {
      ...this.events.fork(process.parentPid, pid),
      timestampNs: this.nowNs,
      synthetic: true,
      process: { ...process, startNs, startFrom: "proc", startTimeTicks },
    };
  }

  /** Applies events half a millisecond later, each with the name of its process. */
  apply(...events: readonly (readonly [ProcessEvent, string?])[]): void {
    this.tracker.apply(
      events.map(([event, comm]) =>
        event.pid === undefined || comm === undefined ? event : {
          ...event,
          process: { ...emptyInfo(event.pid, undefined), comm, exe: `/bin/${comm}` },
        } as ProcessEvent
      ),
    );
  }

  later(ns: bigint): this {
    this.nowNs += ns;
    return this;
  }

  rows(): Image[] {
    return this.tracker.takeQueued().sort((a, b) => a.id - b.id);
  }
}

function summary({ id, pid, parent, process, ended }: Image): string {
  const how = Object.entries(ENDED).find(([, value]) => value === ended)![0].toLowerCase();
  return `${id} ${pid} ${process?.comm ?? "?"} of ${parent ?? "-"}: ${how}`;
}

test("an exec soon after the fork is the program of the process, with its parents and times", () => {
  const story = new Story();
  story.rows();
  const { events } = story;
  const startNs = story.later(SECOND).nowNs;
  story.apply([events.fork(1, 50), "init"]);
  story.later(SECOND / 1000n).apply([events.exec(50), "make"]);
  story.apply([events.fork(50, 51), "make"], [events.exec(51), "cc"]);
  story.later(SECOND).apply([events.exit(51, 51, 0x300)], [events.exit(50)]);
  const rows = story.rows();
  assert.deepEqual(rows.map(summary), ["2 50 make of 1: exit", "3 51 cc of 2: exit"]);
  assert.equal(rows[0]!.startNs, startNs);
  assert.equal(rows[0]!.endNs, story.nowNs);
  assert.equal(rows[1]!.status, 0x300);
  assert.equal(rows[0]!.flags, 0);
  assert.deepEqual(story.rows(), []);
});

test("a later exec of the same process is another program, which comes from the first", () => {
  const story = new Story();
  const { events } = story;
  story.later(SECOND).apply([events.fork(1, 50)], [events.exec(50), "sh"], [events.exec(50), "env"]);
  story.apply([events.fork(50, 51), "env"], [events.exec(51), "cc"], [events.exit(50)]);
  assert.deepEqual(story.rows().map(summary), [
    "1 1 init of -: running",
    "2 50 sh of 1: exec",
    "3 50 env of 2: exit",
    "4 51 cc of 3: running",
  ]);
});

test("a child that executes nothing is a copy; after a second, its exec is a program of its own", () => {
  const story = new Story();
  const { events } = story;
  story.later(SECOND).apply([events.fork(1, 50), "init"], [events.fork(1, 51), "init"]);
  story.apply([events.exit(51)]);
  story.later(2n * SECOND).apply([events.exec(50), "late"]);
  const rows = story.rows();
  assert.deepEqual(rows.slice(1).map(summary), [
    "2 50 init of 1: exec",
    "3 51 init of 1: exit",
    "4 50 late of 2: running",
  ]);
  assert.deepEqual(rows.slice(1).map(({ flags }) => flags), [FLAG.FORKED, FLAG.FORKED, 0]);
});

test("a program that was written while it ran comes again with its end", () => {
  const story = new Story();
  const { events } = story;
  story.later(SECOND).apply([events.fork(1, 50)], [events.exec(50), "daemon"]);
  const first = story.rows();
  assert.equal(first.at(-1)!.ended, ENDED.RUNNING);
  for (const image of first) image.stored = "yes";
  story.later(SECOND).apply([events.exit(50, 50, 9)]);
  const [again, ...more] = story.rows();
  assert.deepEqual([again!.id, again!.ended, again!.status, more.length], [2, ENDED.EXIT, 9, 0]);
});

test("a lost exit shows when the pid is there again, and a synthetic one has no status", () => {
  const story = new Story();
  const { events } = story;
  story.later(SECOND).apply([events.fork(1, 50)], [events.exec(50), "one"], [events.fork(1, 52)]);
  story.later(SECOND).apply([events.fork(1, 50)], [events.exec(50), "two"]);
  story.apply([{ ...events.exit(52), status: null, exitCode: null, synthetic: true as const }]);
  const [, one, other, two] = story.rows();
  assert.deepEqual([one!.ended, one!.measured, two!.ended], [ENDED.UNKNOWN, false, ENDED.RUNNING]);
  assert.deepEqual([other!.ended, other!.measured, other!.status], [ENDED.UNKNOWN, false, null]);
});

test("a loss is a gap; the exit of an unknown process is a row", () => {
  const story = new Story();
  const { events } = story;
  story.rows();
  story.later(SECOND).apply([events.lost(7)], [events.exit(77, 77, 0x100), "found"]);
  assert.deepEqual(story.tracker.takeGaps().map(({ lost, reason }) => [lost, reason]), [[7, "lost"]]);
  const [row] = story.rows();
  assert.equal(summary(row!), "2 77 found of -: exit");
  assert.equal(row!.flags, FLAG.EXISTED);
  assert.equal(row!.measured, false);
});

test("a new run goes on with what an earlier one has left, and closes what is gone", () => {
  const open = (id: number, pid: number, comm: string, startTicks: number): OpenImage => (
    { id, pid, startTicks, startNs: 5n, comm, exe: `/bin/${comm}`, flags: 0 }
  );
  const story = new Story(
    [
      open(11, 60, "same", 500),
      open(12, 61, "old", 501),
      open(13, 62, "gone", 502),
      open(14, 63, "reused", 503),
    ],
    [[60, "same", 501], [61, "new", 501], [63, "reused", 900]],
  );
  const rows = story.rows();
  assert.deepEqual(rows.map(summary), [
    "1 1 init of -: running",
    "2 61 new of 12: running",
    "3 63 reused of 1: running",
    "12 61 ? of -: exec",
    "13 62 ? of -: unknown",
    "14 63 ? of -: unknown",
  ]);
  assert.deepEqual(rows.map(({ stored }) => stored), ["no", "no", "no", "yes", "yes", "yes"]);
  story.later(SECOND).apply([story.events.exit(60)], [story.events.exit(61)]);
  assert.deepEqual(story.rows().map(({ id, ended }) => [id, ended]), [[2, ENDED.EXIT], [11, ENDED.EXIT]]);
});

test("what cannot be written waits; of too much, the oldest that have ended are counted", () => {
  const story = new Story();
  const { events } = story;
  story.later(SECOND);
  for (let pid = 100; pid < 110; pid++) story.apply([events.fork(1, pid), "a"], [events.exit(pid)]);
  const rows = story.rows();
  story.apply([events.fork(1, 200), "b"]);
  story.tracker.putBack(rows, [], 6);
  story.apply([events.fork(1, 201), "b"], [events.exit(201)]);
  story.tracker.putBack(story.tracker.takeQueued(), story.tracker.takeGaps(), 6);
  const [gap, ...more] = story.tracker.takeGaps();
  assert.deepEqual([gap!.lost, gap!.reason, more.length], [7, "dropped", 0]);
  assert.deepEqual(story.rows().map(({ pid }) => pid), [1, 107, 108, 109, 200, 201]);
});
