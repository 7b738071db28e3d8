import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ERRNO } from "../../lib/errors/errno.ts";
import type { ProcessInfo } from "../../lib/processes/info.ts";
import { Resync } from "../../lib/processes/resync.ts";
import { ProcessTable } from "../../lib/processes/table.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { Events } from "./events.ts";
import { FakeProc } from "./fake_proc.ts";

const SECOND = 1_000_000_000n;

function system(): { fake: FakeProc; make: Events; table: ProcessTable; resync: Resync } {
  const fake = new FakeProc();
  const make = new Events(() => fake.nowNs += 1_000_000n);
  const table = new ProcessTable(fake.libc);
  return { fake, make, table, resync: new Resync(table) };
}

/** Delivers the last of the queue, and what the resync says once things under way are over. */
function settle(
  fake: FakeProc,
  table: ProcessTable,
  resync: Resync,
  batch: ProcessEvent[],
): ProcessEvent[] {
  table.groups.apply(batch, false);
  table.apply(batch);
  const emitted = [...batch, ...resync.update(batch, true)];
  for (let i = 0; resync.pending; i++) {
    assert(i < 5);
    fake.nowNs += 4_000_000n;
    emitted.push(...resync.update([], true));
  }
  return emitted;
}

/** Events in short: `fork 7`, `exec 7 sh -c`, `exit 7`. */
function short(events: readonly ProcessEvent[]): string[] {
  return events.filter((event) => event.type !== "lost").map((event) => {
    const synthetic = "synthetic" in event ? "" : "real ";
    if (event.type === "fork") return `${synthetic}fork ${event.pid}`;
    if (event.type === "exec") {
      return `${synthetic}exec ${event.pid} ${event.process?.commandLine?.join(" ")}`;
    }
    return `${synthetic}${event.type} ${(event as { pid?: number }).pid}`;
  });
}

test("start() tells every process, parents first", () => {
  const { fake, table, resync } = system();
  const init = fake.add(1, { parentPid: 0, args: ["init"] });
  fake.add(2, { parentPid: 0, kernelThread: true });
  fake.add(9, { parentPid: 1, startNs: fake.nowNs + SECOND, args: ["later"] });
  fake.add(8, { parentPid: 9, startNs: fake.nowNs + 2n * SECOND, args: ["child"] });
  fake.add(3, { parentPid: 1, startNs: fake.nowNs + SECOND, args: init.args, stackStart: init.stackStart });
  fake.nowNs += 3n * SECOND;
  const events = resync.start();
  assert.deepEqual(short(events), [
    "fork 1",
    "exec 1 init",
    "fork 2",
    "fork 3",
    "fork 9",
    "exec 9 later",
    "fork 8",
    "exec 8 child",
  ]);
  assert(
    events.every((event) => event.synthetic === true && event.process !== undefined && event.cpu === -1),
  );
  assert.equal(table.size, 5);
});

test("a loss without consequences tells nothing, and no loss reads nothing", () => {
  const { fake, make, table, resync } = system();
  fake.add(7);
  table.seed();
  fake.calls.length = 0;
  const fork = make.fork(7, 8);
  table.apply([fork]);
  assert.deepEqual(resync.update([fork], true), []);
  assert.equal(resync.pending, false);
  assert.deepEqual(fake.calls, []);
  fake.add(8, { ...fake.processes.get(7)!, parentPid: 7, startNs: fork.timestampNs });
  assert.deepEqual(short(settle(fake, table, resync, [make.lost(1)])), []);
  assert.equal(table.size, 2);
});

test("lost forks, execs and exits come back as synthetic events", () => {
  const { fake, make, table, resync } = system();
  const parent = fake.add(7, { args: ["parent"] });
  fake.add(8, { args: ["ends"] });
  const execs = fake.add(9, { args: ["before"] });
  table.seed();
  fake.nowNs += SECOND;
  fake.add(10, { parentPid: 7, args: ["parent"], stackStart: parent.stackStart });
  fake.nowNs += SECOND;
  fake.add(11, { parentPid: 7, args: ["child"], uid: 5 });
  fake.processes.delete(8);
  Object.assign(execs, {
    args: ["after"],
    comm: "after",
    stackStart: fake.stack(),
    uid: 1000,
    effectiveUid: 1000,
  });
  parent.comm = "renamed";
  parent.effectiveUid = 6;
  const emitted = settle(fake, table, resync, [make.lost(5)]);
  assert.deepEqual(short(emitted), ["exit 8", "exec 9 after", "fork 10", "fork 11", "exec 11 child"]);
  const exit = emitted.find((event) => event.type === "exit")!;
  assert(exit.type === "exit");
  assert.deepEqual([exit.status, exit.exitCode, exit.signal, exit.synthetic], [null, null, null, true]);
  assert.deepEqual(exit.process?.commandLine, ["ends"]);
  assert.deepEqual([table.get(9)?.uid, table.get(7)?.comm, table.get(7)?.effectiveUid], [1000, "renamed", 6]);
  assert.equal(table.get(11)?.uid, 5);
  assert.deepEqual(short(settle(fake, table, resync, [make.lost(undefined)])), []);
});

test("a number that came round again during a loss: exit and fork", () => {
  const { fake, make, table, resync } = system();
  fake.add(7, { args: ["old"] });
  table.seed();
  fake.nowNs += SECOND;
  fake.add(7, { args: ["new"] });
  assert.deepEqual(short(settle(fake, table, resync, [make.lost(2)])), ["exit 7", "fork 7", "exec 7 new"]);
});

test("what is still queued when /proc is read is not emitted twice", () => {
  const { fake, make, table, resync } = system();
  fake.add(7);
  fake.add(8);
  fake.add(9, { args: ["before"] });
  table.seed();
  fake.nowNs += SECOND;
  const lost = make.lost(1);
  table.apply([lost]);
  const fork = make.fork(7, 10);
  fake.add(10, { parentPid: 7, startNs: fork.timestampNs, args: ["child"] });
  const exit = make.exit(8);
  fake.processes.delete(8);
  const exec = make.exec(9);
  Object.assign(fake.processes.get(9)!, { args: ["after"], stackStart: fake.stack() });
  const queued = [fork, make.exec(10), exit, exec];
  assert.deepEqual(resync.update([lost], true), []);
  assert.deepEqual(short(settle(fake, table, resync, queued)), [
    "real fork 10",
    "real exec 10 child",
    "real exit 8",
    "real exec 9 after",
  ]);
});

test("what happens after /proc was read is emitted by its own events only", () => {
  const { fake, make, table, resync } = system();
  fake.add(7);
  table.seed();
  fake.nowNs += SECOND;
  const lost = make.lost(1);
  table.apply([lost]);
  assert.deepEqual(resync.update([lost], true), []);
  Object.assign(fake.processes.get(7)!, { args: ["after"], stackStart: fake.stack() });
  const batch = [make.exec(7), make.fork(7, 8)]; // the exit of 8 is still to come
  assert.deepEqual(short(settle(fake, table, resync, batch)), ["real exec 7 after", "real fork 8"]);
  assert.deepEqual(short(settle(fake, table, resync, [make.exit(8)])), ["real exit 8"]);
});

test("a process that was hidden or gone at its first event gets no synthetic exit, ever", () => {
  const { fake, make, table, resync } = system();
  table.seed();
  // As with hidepid=2: /proc does not have it, and it lives.
  for (let i = 0; i < 5; i++) {
    fake.nowNs += 2n * SECOND;
    assert.deepEqual(short(settle(fake, table, resync, [make.comm(8, `name ${i}`)])), ["real comm 8"]);
  }
  assert.deepEqual(short(settle(fake, table, resync, [make.exec(9), make.sid(10)])), [
    "real exec 9 undefined",
    "real sid 10",
  ]);
  fake.nowNs += 2n * SECOND;
  assert.deepEqual(short(settle(fake, table, resync, [make.exit(99)])), ["real exit 99"]);
  assert.equal(table.size, 0);
});

test("a process that the table found by itself is emitted after a loss", () => {
  const { fake, make, table, resync } = system();
  table.seed();
  fake.add(7, { args: ["x"] });
  const comm = make.comm(7, "y"); // its fork was lost
  const emitted = settle(fake, table, resync, [make.lost(1), comm]);
  assert.deepEqual(short(emitted), ["real comm 7", "fork 7", "exec 7 x"]);
});

test("where stacks are hidden an exec is judged by file, name and arguments", () => {
  const { fake, make, table, resync } = system();
  const fields = { stackStart: 0, comm: "a", exe: "/bin/a", args: ["a"] };
  for (const pid of [7, 8, 9, 10]) fake.add(pid, { ...fields });
  table.seed();
  fake.processes.get(7)!.exe = "/bin/b";
  fake.processes.get(8)!.comm = "renamed";
  Object.assign(fake.processes.get(9)!, { comm: "b", args: ["b"] });
  fake.processes.get(10)!.args = ["title"];
  assert.deepEqual(short(settle(fake, table, resync, [make.lost(1)])), ["exec 7 a", "exec 9 b"]);
  assert.equal(table.get(8)?.comm, "renamed");
});

test("lost exits of threads do not keep a process for ever", () => {
  const { fake, make, table, resync } = system();
  const process = fake.add(7, { threads: 3 });
  table.seed();
  process.threads = 1; // two exits were lost
  settle(fake, table, resync, [make.lost(2)]);
  fake.processes.delete(7);
  settle(fake, table, resync, [make.exit(7)]);
  assert.equal(table.get(7), undefined);
  assert.equal(table.groups.size, 0);
});

test("a suspended machine's processes are still the same", () => {
  const { fake, make, table, resync } = system();
  fake.add(7);
  table.seed();
  const fork = make.fork(7, 8);
  table.apply([fork]);
  const child = fake.add(8, { ...fake.processes.get(7)!, parentPid: 7, startNs: fork.timestampNs });
  fake.bootOffsetNs += 3600n * SECOND;
  for (const process of [fake.processes.get(7)!, child]) process.startNs -= fake.bootOffsetNs; // same ticks as before
  assert.deepEqual(short(settle(fake, table, resync, [make.lost(1)])), []);
});

test("while losses go on /proc is not read again and again", () => {
  const { fake, make, table, resync } = system();
  for (let pid = 1; pid < 50; pid++) fake.add(pid);
  table.seed();
  fake.calls.length = 0;
  for (let i = 0; i < 20; i++) {
    const batch = [make.comm(1, "x"), make.lost(3)];
    table.apply(batch);
    resync.update(batch, false);
  }
  assert.deepEqual(fake.calls, []);
  assert.equal(resync.pending, true);
  fake.nowNs += SECOND;
  resync.update([make.comm(1, "x")], false);
  assert.equal(fake.calls.filter((call) => call === "open /proc").length, 1);
  fake.nowNs += SECOND;
  resync.update([make.comm(1, "x")], false);
  assert.equal(resync.pending, false);
});

test("/proc that cannot be listed for a moment is read later; only what lasts is an error", () => {
  const { fake, make, table, resync } = system();
  fake.add(7);
  fake.add(8);
  table.seed();
  fake.processes.delete(8);
  fake.directory = -ERRNO["EMFILE"]!;
  assert.deepEqual(short(resync.update([make.lost(1)], true)), []);
  assert.equal(resync.dueMs(), 100);
  fake.nowNs += 40n * SECOND;
  // What was received is handed out first.
  assert.deepEqual(resync.update([make.comm(7, "x")], true), []);
  assert.throws(() => resync.update([], true), /Cannot list the processes/);
  assert.equal(table.size, 2);
  fake.directory = undefined;
  assert.deepEqual(short(settle(fake, table, resync, [])), ["exit 8"]);
  assert.equal(resync.dueMs(), undefined);
});

test("what cannot be read is not gone: neither for want of descriptors, nor where it is hidden", () => {
  const { fake, make, table, resync } = system();
  fake.add(1);
  for (const pid of [7, 8, 9]) fake.add(pid);
  table.seed();
  for (const [pid, code] of [[7, "EMFILE"], [8, "EACCES"], [9, "ENOMEM"]] as const) {
    fake.files.set(`/proc/${pid}/stat`, -ERRNO[code]!);
  }
  const lost = make.lost(1);
  table.apply([lost]);
  assert.deepEqual(resync.update([lost], true), []);
  fake.nowNs += 5_000_000n;
  assert.deepEqual(resync.update([], true), []);
  assert.equal(table.size, 4);
  fake.processes.delete(9);
  fake.files.clear();
  assert.deepEqual(short(settle(fake, table, resync, [])), ["exit 9"]);
  // hidepid=2: the processes of other users are not there, init among them.
  const { fake: hiding, make: events, table: second, resync: other } = system();
  hiding.add(5);
  second.seed();
  settle(hiding, second, other, [events.fork(1, 6)]);
  hiding.processes.delete(5);
  assert.deepEqual(short(settle(hiding, second, other, [events.lost(1)])), ["exit 5"]);
  assert.equal(second.size, 1);
});

/** A scripted machine, and the queue of events that it fills. */
class World {
  readonly fake = new FakeProc();
  readonly make = new Events(() => this.fake.nowNs);
  readonly queue: ProcessEvent[] = [];
  readonly live: number[] = [1];
  #program = 0;
  #pid = 1;
  #toLose = 0;
  #lost = 0;

  constructor() {
    this.fake.add(1, { args: ["init"] });
  }

  fork(which: number): void {
    const parentPid = this.live[which % this.live.length]!;
    // Numbers come round again soon.
    do this.#pid = this.#pid % 12 + 1; while (this.fake.processes.has(this.#pid) && this.live.length < 12);
    if (this.live.length >= 12) return;
    this.#tick();
    const startNs = this.fake.nowNs;
    this.fake.add(this.#pid, { ...this.fake.processes.get(parentPid)!, parentPid, startNs, threads: 1 });
    this.live.push(this.#pid);
    this.#send(this.make.fork(parentPid, this.#pid));
  }

  exec(which: number): void {
    const pid = this.live[which % this.live.length]!;
    this.#tick();
    const program = `program${this.#program++}`;
    const process = this.fake.processes.get(pid)!;
    Object.assign(process, {
      args: [program],
      exe: `/${program}`,
      comm: program,
      stackStart: this.fake.stack(),
    });
    this.#send(this.make.exec(pid));
  }

  exit(which: number): void {
    if (this.live.length === 1) return;
    const index = 1 + which % (this.live.length - 1);
    const [pid] = this.live.splice(index, 1);
    this.#tick();
    this.fake.processes.delete(pid!);
    this.#send(this.make.exit(pid!));
  }

  comm(which: number): void {
    const pid = this.live[which % this.live.length]!;
    this.#tick();
    const comm = `name${this.#program++}`;
    this.fake.processes.get(pid)!.comm = comm;
    this.#send(this.make.comm(pid, comm));
  }

  uid(which: number): void {
    const pid = this.live[which % this.live.length]!;
    this.#tick();
    const uid = this.#program++;
    Object.assign(this.fake.processes.get(pid)!, { uid, effectiveUid: uid });
    this.#send(this.make.uid(pid, uid, uid));
  }

  /** The next events do not find room in the queue. */
  lose(count: number): void {
    this.#toLose += count;
  }

  /** The queue's reader finds the losses when it has emptied it. */
  flushLost(): void {
    this.#toLose = 0;
    if (this.#lost > 0) this.queue.push(this.make.lost(this.#lost));
    this.#lost = 0;
  }

  /** More than the rounding between two moments: /proc can tell processes apart that had the same number. */
  #tick(): void {
    this.fake.nowNs += SECOND;
  }

  #send(event: ProcessEvent): void {
    if (this.#toLose > 0) {
      this.#toLose--;
      this.#lost++;
      return;
    }
    if (this.#lost > 0) this.flushLost();
    this.queue.push(event);
  }
}

/** What a consumer makes of the stream: the program of each process. */
function fold(into: Map<number, string | undefined>, events: readonly ProcessEvent[]): void {
  const program = (info: ProcessInfo | undefined): string | undefined => info?.commandLine?.join(" ");
  for (const event of events) {
    if (event.type === "fork") into.set(event.pid, program(event.process));
    else if (event.type === "exec") into.set(event.pid, program(event.process));
    else if (event.type === "exit") into.delete(event.pid);
  }
}

const kinds = ["fork", "exec", "exit", "comm", "uid", "fork", "exec"] as const;
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom(...kinds), which: fc.nat(11) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("lose" as const), which: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("deliver" as const), which: fc.integer({ min: 1, max: 9 }) }),
  },
);

test("whatever happens and whatever is lost: who folds the stream is right in the end", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const world = new World();
      const { fake } = world;
      const table = new ProcessTable(fake.libc);
      const resync = new Resync(table);
      const consumer = new Map<number, string | undefined>();
      fold(consumer, resync.start());
      const deliver = (count: number): void => {
        const batch = world.queue.splice(0, count);
        table.groups.apply(batch, false);
        table.apply(batch);
        table.programs.reconcile(world.queue);
        fold(consumer, batch);
        fold(consumer, resync.update(batch, world.queue.length === 0));
      };
      for (const { do: what, which } of steps) {
        if (what === "deliver") deliver(which);
        else world[what](which);
      }
      world.flushLost();
      deliver(Infinity);
      for (let i = 0; resync.pending; i++) {
        assert(i < 5);
        fake.nowNs += 4_000_000n;
        deliver(Infinity);
      }
      const truth = [...fake.processes].map(([pid, process]) => [pid, process.args.join(" ")] as const);
      assert.deepEqual([...consumer].sort(([a], [b]) => a - b), truth.sort(([a], [b]) => a - b));
      for (const [pid, process] of fake.processes) {
        const info = table.get(pid)!;
        assert.deepEqual([info.comm, info.uid, info.exe], [process.comm, process.uid, process.exe]);
      }
      assert.equal(table.size, fake.processes.size);
      assert.equal(fake.openCount, 0);
    }),
    { numRuns: 1000 },
  );
});
