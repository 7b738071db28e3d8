import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ERRNO } from "../../lib/errors/errno.ts";
import { SyscallError } from "../../lib/errors/syscall_error.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import type { ProcessWatch } from "../../lib/processes/watch.ts";
import { sleep } from "../support/kernel.ts";
import { FakeProcKernel } from "./fake_kernel.ts";
import { type EventWatchOptions, openEventWatch } from "./open_watch.ts";

/** A watch on a kernel of its own, which has 6.6's filters unless said otherwise. */
function opened(
  options: EventWatchOptions = {},
  filters = true,
): { kernel: FakeProcKernel; watch: ProcessWatch } {
  const kernel = new FakeProcKernel(filters);
  return { kernel, watch: openEventWatch(kernel.system, { heartbeatMs: 0, latencyMs: 0, ...options }) };
}

function pidOf(event: ProcessEvent | undefined): number {
  assert(event?.type === "exec", `${event?.type}`);
  return event.pid;
}

function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

test("calls of next() that are made together get one event each, in order", async () => {
  const { kernel, watch } = opened();
  const results = range(0, 7).map(() => watch.next());
  kernel.exec(...range(1, 7));
  const events = await Promise.all(results);
  assert.deepEqual(events.map(({ value }) => pidOf(value)), range(1, 7));
  assert.equal(watch.stats().delivered, 7);
  watch.close();
  kernel.libc.assertAllClosed();
});

test("delivered counts what was handed out, and no more", async () => {
  const { kernel, watch } = opened();
  kernel.exec(...range(1, 5));
  await watch.next();
  await watch.next();
  assert.equal(watch.stats().received, 5);
  assert.equal(watch.stats().delivered, 2);
  const { value } = await watch.batches().next();
  assert.equal(value!.length, 3);
  assert.equal(watch.stats().delivered, 5);
  watch.close();
});

test("any number of readers, one by one or in batches, get each event once and in the order of asking", async () => {
  const call = fc.constantFrom("next", "batch", "both");
  const step = fc.record({ calls: fc.array(call, { maxLength: 4 }), execs: fc.nat(6), turns: fc.nat(2) });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const { kernel, watch } = opened();
      const batches = watch.batches();
      const asked: Promise<readonly ProcessEvent[]>[] = [];
      const next = async () => [(await watch.next()).value].filter((event) => event !== undefined);
      const batch = async () => (await batches.next()).value ?? [];
      let made = 0;
      for (const { calls, execs, turns } of steps) {
        for (const kind of calls) {
          if (kind !== "batch") asked.push(next());
          if (kind !== "next") asked.push(batch());
        }
        kernel.exec(...range(made + 1, execs));
        made += execs;
        for (let yieldToEventLoop = 0; yieldToEventLoop < turns; yieldToEventLoop++) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      // Who still waits when all has come gets what is left, and then the end.
      const rest: ProcessEvent[] = [];
      const reading = (async () => {
        for await (const event of watch) {
          rest.push(event);
          if (pidOf(event) === made + 1) break;
        }
      })();
      while (watch.stats().delivered < made + 1) {
        kernel.exec(made + 1); // as often as there are others who wait
        await new Promise((resolve) => setImmediate(resolve));
        if (watch.stats().delivered > made) break;
      }
      const { delivered } = watch.stats();
      watch.close();
      await reading;
      const handed = [...(await Promise.all(asked)).flat(), ...rest].map(pidOf);
      assert.equal(handed.length, delivered, "delivered");
      assert.deepEqual(handed.filter((pid) => pid <= made), range(1, made));
    }),
    { numRuns: 150 },
  );
});

test("two loops over one watch share the events between them", async () => {
  const { kernel, watch } = opened();
  const seen: number[][] = [[], []];
  const loops = seen.map(async (mine) => {
    for await (const event of watch) {
      mine.push(pidOf(event));
      await sleep(1);
    }
  });
  for (let round = 0; round < 10; round++) {
    kernel.exec(...range(round * 4 + 1, 4));
    await sleep(2);
  }
  while (watch.stats().delivered < 40) await sleep(1);
  watch.close();
  await Promise.all(loops);
  assert.deepEqual(seen.flat().sort((a, b) => a - b), range(1, 40));
  for (const mine of seen) assert.deepEqual(mine, mine.toSorted((a, b) => a - b), "each in order");
});

test("every call that waits ends with the watch: one with what it failed with", async () => {
  const { kernel, watch } = opened();
  const calls = [watch.next(), watch.batches().next(), watch.next()];
  const settled = Promise.allSettled(calls);
  await sleep(1);
  kernel.system.poller.die(new Error("the waiting thread ended"));
  const [first, ...others] = await settled;
  assert.equal(
    first?.status === "rejected" && first.reason.message,
    "Cannot watch processes: the waiting thread ended",
  );
  for (const other of others) {
    assert.deepEqual(other, { status: "fulfilled", value: { value: undefined, done: true } });
  }
  assert.equal(kernel.listeners, 1, "the subscription was not taken back");
  kernel.libc.assertAllClosed();
});

test("what was received before a failure is handed out before it", async () => {
  const { kernel, watch } = opened();
  await sleep(1); // it is waited for now
  kernel.exec(1, 2, 3);
  kernel.system.poller.die(new Error("the waiting thread ended"));
  const { value } = await watch.batches().next();
  assert.deepEqual(value!.map(pidOf), [1, 2, 3]);
  await assert.rejects(watch.next(), /the waiting thread ended/);
  kernel.libc.assertAllClosed();
});

test("a poller that refuses to wait ends the watch, for whoever reads it", async () => {
  const { kernel, watch } = opened();
  const { poller } = kernel.system;
  poller.armResult = -ERRNO.EAGAIN!;
  poller.wake(poller.added[0]!); // it was armed when the watch was opened
  await assert.rejects(watch.next(), /^SyscallError: Cannot watch processes: .*EAGAIN/);
  assert.deepEqual(await watch.next(), { value: undefined, done: true });
  assert.equal(kernel.listeners, 1);
  kernel.libc.assertAllClosed();
});

for (const filters of [true, false]) {
  const name = filters ? "from 6.6 on" : "before 6.6";
  test(`${name}: an error that ends nothing costs one interruption, and the count of listeners stays right`, async () => {
    const { kernel, watch } = opened({}, filters);
    assert.equal(kernel.listeners, 2);
    const [hook] = kernel.system.hooks;
    hook!.leave();
    hook!.leave();
    assert.equal(kernel.listeners, 1);
    hook!.stay!();
    hook!.stay!();
    assert.equal(kernel.listeners, 2);
    assert.equal(watch.stats().interruptions, 1);
    assert.equal((await watch.next()).value?.type, "lost");
    watch.close();
    hook!.stay!();
    assert.equal(kernel.listeners, 1);
    kernel.libc.assertAllClosed();
  });

  test(`${name}: a subscription that cannot be made anew after an error ends the watch`, async () => {
    const { kernel, watch } = opened({}, filters);
    const [hook] = kernel.system.hooks;
    hook!.leave();
    kernel.libc.answers("sendto", -ERRNO.ENOBUFS!);
    hook!.stay!();
    await assert.rejects(watch.next(), (error) => error instanceof SyscallError && error.code === "ENOBUFS");
    assert.equal(kernel.listeners, 1);
    kernel.libc.assertAllClosed();
  });
}

test("before 6.6: a renewal that fails takes nothing back for the dead subscription", async () => {
  const { kernel, watch } = opened({ heartbeatMs: 5 }, false);
  kernel.listeners--; // somebody else's IGNORE has taken us out, and no event comes for our own change of name
  kernel.libc.answers("socket", -ERRNO.EMFILE!);
  await assert.rejects(watch.next(), (error) => error instanceof SyscallError && error.code === "EMFILE");
  watch.close();
  assert.equal(kernel.listeners, 1, "another program's count");
  kernel.libc.assertAllClosed();
});

test("what found no room between the subscription and the first look is counted", async () => {
  const kernel = new FakeProcKernel(true);
  const detach = 27; // SO_DETACH_FILTER: from then on events are queued
  kernel.libc.answers(
    "setsockopt",
    ...range(0, 20).map(() => (fd: unknown, _level: unknown, option: unknown) => {
      if (option === detach) kernel.libc.sockets.find((socket) => socket.fd === fd)!.drops += 5;
      return undefined;
    }),
  );
  const watch = openEventWatch(kernel.system, { heartbeatMs: 0 });
  const { value } = await watch.next();
  assert(value?.type === "lost");
  assert.equal(value.count, 5);
  assert.equal(watch.stats().lost, 5);
  watch.close();
});

for (const end of ["close", "drain", "the stages"]) {
  test(`what was dropped behind the last event is reported after it, before the end by ${end}`, async () => {
    const kernel = new FakeProcKernel(true);
    const stages = end === "the stages"
      ? [{ process: (batch: ProcessEvent[]) => batch, isOver: () => true }]
      : [];
    const watch = openEventWatch(kernel.system, { heartbeatMs: 0, latencyMs: 0 }, { stages });
    kernel.exec(1, 2);
    for (const socket of kernel.libc.sockets) socket.drops += 3;
    if (end === "drain") watch.drain();
    const seen: (number | undefined)[] = [];
    for await (const event of watch) {
      seen.push(event.type === "lost" ? event.count : event.pid);
      if (end === "close" && event.type === "lost") break;
    }
    assert.deepEqual(seen, [1, 2, 3]);
    assert.equal(watch.stats().lost, 3);
    kernel.libc.assertAllClosed();
  });
}

test("a watch that is closed hands out nothing more, also to who was waiting", async () => {
  const { kernel, watch } = opened();
  kernel.exec(1, 2, 3);
  const calls = [watch.next(), watch.next(), watch.batches().next()];
  await Promise.resolve();
  watch.close();
  const first = await calls[0]!;
  assert((await Promise.all(calls.slice(1))).every(({ done }) => done));
  assert.deepEqual(await watch.next(), { value: undefined, done: true });
  assert.equal(watch.stats().delivered, first.done ? 0 : 1);
});

test("a watch that is drained does not subscribe again after an error that ends nothing", async () => {
  const { kernel, watch } = opened();
  const [hook] = kernel.system.hooks;
  kernel.exec(1);
  watch.drain();
  assert.equal(kernel.system.hooks.size, 0);
  hook!.leave();
  assert.equal(kernel.listeners, 1);
  assert.equal(pidOf((await watch.next()).value), 1);
  assert.equal((await watch.next()).done, true);
  assert.equal(kernel.listeners, 1);
  kernel.libc.assertAllClosed();
});

test("unref() and ref() say whether the watch keeps the program alive, before it waits and while it does", async () => {
  const { kernel, watch } = opened({ heartbeatMs: 60_000 });
  assert.equal(watch.unref(), watch);
  void watch.next();
  await sleep(1);
  assert.equal(kernel.system.poller.alive, false);
  assert.equal(watch.ref(), watch);
  assert.equal(kernel.system.poller.alive, true);
  watch.unref();
  assert.equal(kernel.system.poller.alive, false);
  watch.close();
});

/** An eager watch, and how often it has waited inside the kernel, in which `onBlock` happens. */
function openedEager(
  onBlock: (kernel: FakeProcKernel) => void,
): { kernel: FakeProcKernel; watch: ProcessWatch; waits: readonly number[] } {
  const kernel = new FakeProcKernel(true);
  const waits: number[] = [];
  kernel.libc.onBlock = (timeoutMs) => {
    waits.push(timeoutMs);
    onBlock(kernel);
  };
  const watch = openEventWatch(kernel.system, { heartbeatMs: 0, latencyMs: 0 }, {
    eager: true,
    execWaitMs: 2,
  });
  return { kernel, watch, waits };
}

/** The types of the events of the next batch. */
async function nextTypes(watch: ProcessWatch): Promise<string> {
  const { value } = await watch.batches().next();
  return value!.map(({ type }) => type).join(" ");
}

/** Tries something that comes out otherwise if the test is held up for some milliseconds. */
async function inSomeOfManyTries(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await isSo()); tries++) assert(tries < 100, `not in 100 tries: ${what}`);
}

test("an eager watch that may block waits for the exec that a fork announces, and hands out both together", async () => {
  await inSomeOfManyTries("it waits once", async () => {
    const { kernel, watch, waits } = openedEager((kernel) => kernel.exec(7));
    kernel.fork(7);
    const types = await nextTypes(watch);
    watch.close();
    assert(waits.every((timeoutMs) => timeoutMs > 0 && timeoutMs <= 2), `${waits}`);
    return types === "fork exec" && waits.length === 1;
  });
});

test("an eager watch does not wait once an exec is there", async () => {
  const { kernel, watch } = openedEager(() => assert.fail("blocks"));
  kernel.exec(7);
  kernel.fork(8);
  assert.equal(await nextTypes(watch), "exec fork");
  watch.close();
});

test("an eager watch hands out a fork without an exec, and then leaves the event loop to others", async () => {
  await inSomeOfManyTries("it waits once, and not again soon", async () => {
    const { kernel, watch, waits } = openedEager(() => {
      const end = performance.now() + 50;
      while (performance.now() < end);
    });
    for (const pid of [7, 8]) {
      kernel.fork(pid);
      assert.equal(await nextTypes(watch), "fork");
    }
    watch.close();
    return waits.length === 1;
  });
});

test("a watch waits in the event loop only, unless it is eager and may block", async () => {
  for (const inner of [{ eager: true }, { eager: false, execWaitMs: 2 }]) {
    const kernel = new FakeProcKernel(true);
    kernel.libc.onBlock = () => assert.fail("blocks");
    const watch = openEventWatch(kernel.system, { heartbeatMs: 0, latencyMs: 0 }, inner);
    kernel.fork(7);
    assert.equal(await nextTypes(watch), "fork");
    watch.close();
  }
});
