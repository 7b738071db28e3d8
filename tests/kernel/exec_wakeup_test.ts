import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ExecWakeup } from "../../lib/processes/exec_wakeup.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { ProcWatch } from "../../lib/processes/event_watch.ts";
import { inspectBus } from "../../mod.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** How long `act` took. */
function time(act: () => unknown): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

test("the bell rings for an exec, once execs come in quick succession", { skip }, async () => {
  const system = await openSystem("test the bell");
  await using _watch = new ProcWatch(system, {}); // without a listener the kernel sends nothing to anybody
  using execWakeup = ExecWakeup.open(system.libc, "test the bell");
  assert.equal(execWakeup.busyPoll(), false, "nothing was heard yet");
  execWakeup.heard();
  assert.equal(execWakeup.busyPoll(), false, "the first follows none");
  // The time of one try may be another program's.
  let least = Infinity;
  for (let tries = 0; tries < 20 && least >= 1.5; tries++) {
    spawnSync("/bin/true");
    execWakeup.heard();
    execWakeup.heard();
    least = Math.min(least, time(() => assert.equal(execWakeup.busyPoll(), true)));
  }
  assert(least < 1.5, `${least} ms although an exec waits`);
});

test(
  "the bell gives up after a moment without an exec, and waits no more until two have come",
  { skip },
  async () => {
    const system = await openSystem("test the bell");
    // Other programs exec, too: of some tries one is quiet.
    for (let tries = 0;; tries++) {
      using execWakeup = ExecWakeup.open(system.libc, "test the bell");
      execWakeup.heard();
      execWakeup.heard();
      const first = time(() => assert.equal(execWakeup.busyPoll(), true));
      if (first >= 1.9) {
        assert.equal(execWakeup.busyPoll(), false);
        execWakeup.heard();
        execWakeup.heard();
        assert.equal(execWakeup.busyPoll(), true);
        break;
      }
      assert(tries < 50, "never quiet");
    }
  },
);

test("a watch with a table has a bell, and both sockets are gone with it", { skip }, async () => {
  const system = await openSystem("test the bell");
  const hooks = { batch: (events: ProcessEvent[]) => events, dueMs: () => undefined, filters: [] };
  const own = async (): Promise<number> => {
    const { sockets } = await inspectBus();
    return sockets.filter(({ owners }) => owners.some(({ pid }) => pid === process.pid)).length;
  };
  const before = await own();
  const eager = new ProcWatch(system, {}, { ...hooks, eager: true });
  const patient = new ProcWatch(system, {}, { ...hooks, eager: false });
  assert.equal(await own(), before + 3);
  eager.close();
  patient.close();
  assert.equal(await own(), before);
});
