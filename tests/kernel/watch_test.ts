import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { test } from "node:test";
import { type ProcessEvent, watchProcesses } from "../../mod.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { inVirtualMachine } from "../support/runtimes.ts";
import { buildStorm, startStorm } from "../support/storm.ts";

const skip = await whyNoProcessEvents();
const storm = buildStorm();
const skipStorm = skip || ("missing" in storm ? storm.missing : false);
const stormPath = "path" in storm ? storm.path : "";
const turns = inVirtualMachine ? 2_000 : 100_000;

test("watchProcesses() sees a child's fork, exec and exit, with its exit code", { skip }, async () => {
  await using events = await watchProcesses({ events: ["fork", "exec", "exit"] });
  const child = spawn("/bin/sh", ["-c", "exit 3"]);
  const seen: ProcessEvent[] = [];
  for await (const event of events) {
    if (event.pid !== child.pid) continue;
    seen.push(event);
    if (event.type === "exit") break;
  }
  assert.deepEqual(seen.map(({ type }) => type), ["fork", "exec", "exit"]);
  const exit = seen[2]!;
  assert(exit.type === "exit");
  assert.deepEqual([exit.exitCode, exit.signal, exit.status, exit.exitSignal], [3, null, 768, 17]);
  assert(seen[0]!.timestampNs <= exit.timestampNs);
});

test("watchProcesses() names the signal that ended a child", { skip }, async () => {
  const child = spawn("/bin/sleep", ["30"]);
  await using events = await watchProcesses({ events: ["exit"] });
  child.kill("SIGKILL");
  for await (const event of events) {
    if (event.type !== "exit" || event.pid !== child.pid) continue;
    assert.deepEqual([event.exitCode, event.signal, event.coreDumped], [null, "SIGKILL", false]);
    break;
  }
});

test("for await receives every event of a storm", { skip: skipStorm }, async () => {
  await using events = await watchProcesses({ receiveBufferBytes: 64 << 20 });
  const { report, child } = startStorm(stormPath, "vfork", String(turns));
  const counts = { fork: 0, exit: 0 };
  // An exit may lack the parent: it may have reaped the child before the kernel made the event.
  const alive = new Set<number>();
  for await (const event of events) {
    assert.notEqual(event.type, "lost");
    if (event.type === "fork" && event.parentPid === child.pid) {
      counts.fork++;
      alive.add(event.pid);
    } else if (event.type === "exit" && alive.delete(event.pid)) counts.exit++;
    else if (event.type === "exit" && event.pid === child.pid) break;
  }
  assert.equal((await report).count, turns);
  assert.deepEqual(counts, { fork: turns, exit: turns });
  assert.equal(events.stats().lost, 0);
});

/** What a reader received: the sequence numbers of each CPU in order, and the number of losses. */
interface Log {
  readonly seen: Map<number, number[]>;
  lost: number;
}

async function follow(events: AsyncIterable<ProcessEvent>, log: Log, pause: () => Promise<void> | undefined) {
  for await (const event of events) {
    if (event.type === "lost") log.lost += event.count!;
    else if (log.seen.has(event.cpu)) log.seen.get(event.cpu)!.push(event.seq);
    else log.seen.set(event.cpu, [event.seq]);
    await pause();
  }
}

/** Causes events on every CPU until `log` has a newer one for each than `others` has now. */
async function touchEveryCpu(log: Log, others: Log): Promise<void> {
  const newest = cpus().map((_, cpu) => others.seen.get(cpu)?.at(-1) ?? -1);
  await eventually("events on every processor", () => {
    const missing = newest.findIndex((seq, cpu) => (log.seen.get(cpu)?.at(-1) ?? -1) <= seq);
    if (missing >= 0) spawnSync("taskset", ["-c", String(missing), "/bin/true"]);
    return missing < 0;
  }, 30_000);
}

/** Waits until both are up to date, and no losses by the load of other programs are pending. */
async function settle(some: Log, all: Log): Promise<void> {
  for (let tries = 0, lost = NaN; lost !== some.lost; tries++) {
    assert(tries < 100, "this machine does not come to rest");
    lost = some.lost;
    await touchEveryCpu(all, all);
    await touchEveryCpu(some, all);
    await sleep(20);
  }
}

// A watch that shows exits receives execs as well, and a lost exec counts: so everything received is compared.
for (const kinds of [undefined, ["fork", "exec", "exit"] as const]) {
  const name = kinds === undefined ? "every event" : kinds.join(", ");
  test(
    `a reader that sleeps loses what does not fit, and reports how many: ${name}`,
    { skip: skipStorm },
    async () => {
      // A second watch with enough room shows how many there were, including those of other programs.
      await using reference = await watchProcesses({
        events: kinds,
        threads: true,
        receiveBufferBytes: 64 << 20,
      });
      await using small = await watchProcesses({
        events: kinds,
        threads: true,
        receiveBufferBytes: 64 << 10,
      });
      const all: Log = { seen: new Map(), lost: 0 };
      const some: Log = { seen: new Map(), lost: 0 };
      let asleep: Promise<void> | undefined;
      const followed = [follow(reference, all, () => Promise.resolve()), follow(small, some, () => asleep)];
      await settle(some, all);
      const from = new Map([...some.seen].map(([cpu, seen]) => [cpu, seen.at(-1)!]));
      const lostBefore = some.lost;
      const acknowledgements = (): number => {
        const { received, delivered } = reference.stats();
        return received - delivered;
      };
      const acknowledgedBefore = acknowledgements();

      asleep = sleep(inVirtualMachine ? 3000 : 1000);
      await startStorm(stormPath, "vfork", String(turns / 10)).report;
      await asleep;
      asleep = undefined;
      await settle(some, all);

      // Everything between two events of the small reader was either delivered to it or counted as lost.
      const to = new Map([...some.seen].map(([cpu, seen]) => [cpu, seen.at(-1)!]));
      const lost = some.lost - lostBefore;
      await eventually(
        "the reference",
        () => [...to].every(([cpu, seq]) => all.seen.get(cpu)!.at(-1)! >= seq),
      );
      const between = ({ seen }: Log): number =>
        [...to].reduce(
          (sum, [cpu, last]) =>
            sum + (seen.get(cpu) ?? []).filter((seq) => seq > from.get(cpu)! && seq <= last).length,
          0,
        );
      const acknowledged = acknowledgements() - acknowledgedBefore;
      reference.close();
      small.close();
      await Promise.all(followed);
      assert.equal(all.lost, 0);
      assert(lost > 0, "nothing was lost");
      const accounted = between(some) + lost;
      const events = between(all);
      // Acknowledgements of other subscriptions use a number and may be lost, but are not events.
      if (kinds !== undefined) {
        const most = events + acknowledged;
        assert(accounted >= events && accounted <= most, `${accounted} is not ${events} to ${most}`);
      } else {
        const numbers = [...to].reduce((sum, [cpu, last]) => sum + last - from.get(cpu)!, 0);
        assert(accounted >= events && accounted <= numbers, `${accounted} is not ${events} to ${numbers}`);
      }
    },
  );
}

test("acknowledgements of other subscriptions do not count as a loss", { skip }, async () => {
  await using events = await watchProcesses();
  for (let i = 0; i < 20; i++) (await watchProcesses({ events: ["exec"] })).close();
  const child = spawn("/bin/true");
  for await (const event of events) {
    assert.notEqual(event.type, "lost");
    if (event.type === "exit" && event.pid === child.pid) break;
  }
  const { lost, received, delivered } = events.stats();
  assert.equal(lost, 0);
  assert(received >= delivered + 20, "the acknowledgements did not arrive");
});

test("batches() delivers the same events, and those that a for await did not consume", { skip }, async () => {
  await using events = await watchProcesses({ events: ["exit"] });
  const children = Array.from({ length: 20 }, () => spawn("/bin/true"));
  await Promise.all(children.map((child) => new Promise((resolve) => child.on("close", resolve))));
  const pids = new Set(children.map(({ pid }) => pid));
  const first = await events.next();
  if (first.value?.type === "exit") pids.delete(first.value.pid);
  for await (const batch of events.batches()) {
    assert(batch.length > 0);
    for (const event of batch) if (event.type === "exit") pids.delete(event.pid);
    if (pids.size === 0) break;
  }
  assert.equal((await events.next()).done, true, "return() of batches() closes the watch");
});

test("an aborted watch throws the signal's reason, once", { skip }, async () => {
  const abort = new AbortController();
  const events = await watchProcesses({ events: ["sid"], signal: abort.signal });
  const waiting = events.next();
  const reason = new Error("enough");
  setTimeout(() => abort.abort(reason), 20);
  await assert.rejects(waiting, (error) => error === reason);
  assert.equal((await events.next()).done, true);
  await assert.rejects(watchProcesses({ signal: abort.signal }), (error) => error === reason);
});

test("close() ends an iteration that waits", { skip }, async () => {
  const events = await watchProcesses({ events: ["sid"] });
  const waiting = events.next();
  await sleep(50);
  events.close();
  events.close();
  assert.equal((await waiting).done, true);
});

test("500 watches leave no descriptor, no thread and no socket behind", { skip }, async () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const threads = (): number =>
    Number(/^Threads:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  async function cycle(waits: boolean): Promise<void> {
    const events = await watchProcesses({ events: ["sid"] });
    if (!waits) return events.close();
    const waiting = events.next();
    await sleep(2);
    events.close();
    await waiting;
  }
  for (let i = 0; i < 20; i++) await cycle(i % 2 === 0);
  await sleep(300);
  const before = { descriptors: descriptors(), threads: threads() };
  const cycles = inVirtualMachine ? 50 : 500;
  for (let i = 0; i < cycles; i++) await cycle(i % 5 === 0);
  // A thread ends a moment after its watch.
  await eventually("descriptors are back", () => descriptors() <= before.descriptors, 60_000);
  await eventually("threads are back", () => threads() <= before.threads + 2, 60_000);
});

test("invalid options are rejected, and the error names the valid ones", { skip }, async () => {
  await assert.rejects(
    watchProcesses({ events: ["forks" as "fork"] }),
    /there is no event "forks"; there are fork, /,
  );
  await assert.rejects(watchProcesses({ events: [] }), /the list of events is empty/);
  await assert.rejects(watchProcesses({ latencyMs: -1 }), /latencyMs must be 0 to 1000/);
  await assert.rejects(watchProcesses({ receiveBufferBytes: 0.5 }), /receiveBufferBytes must be/);
});
