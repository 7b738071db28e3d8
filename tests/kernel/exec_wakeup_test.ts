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

test("an exec wakes the reader once execs come in quick succession", { skip }, async () => {
  const system = await openSystem("test exec wake-ups");
  await using _watch = new ProcWatch(system, {}); // without a listener the kernel sends no events
  using execWakeup = ExecWakeup.open(system.libc, "test exec wake-ups");
  assert.equal(execWakeup.busyPoll(), false, "nothing was heard yet");
  execWakeup.heard();
  assert.equal(execWakeup.busyPoll(), false, "the first follows none");
  // Another program may have slowed down one try.
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
  "waiting ends after a moment without an exec, and starts again only after two",
  { skip },
  async () => {
    const system = await openSystem("test exec wake-ups");
    // Other programs exec as well: one of several tries is undisturbed.
    for (let tries = 0;; tries++) {
      using execWakeup = ExecWakeup.open(system.libc, "test exec wake-ups");
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

test("a watch with a table has a second socket, and closes both", { skip }, async () => {
  const system = await openSystem("test exec wake-ups");
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
