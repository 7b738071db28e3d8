import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ExecWakeup } from "../../lib/processes/exec_wakeup.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import { inspectBus } from "../../mod.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { openEventWatch } from "../processes/open_watch.ts";

const skip = await whyNoProcessEvents();

/** How long `act` took. */
function time(act: () => unknown): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

test("an exec is waited for, once execs come in quick succession", { skip }, async () => {
  const system = await openSystem("test an exec wake-up");
  await using _watch = openEventWatch(system, {}); // without a listener the kernel sends nothing to anybody
  using execWakeup = ExecWakeup.open(system.libc, "test an exec wake-up", 2);
  assert.equal(execWakeup.busyPoll(), false, "nothing was heard yet");
  execWakeup.noteExec();
  assert.equal(execWakeup.busyPoll(), false, "the first follows none");
  // The time of one try may be another program's.
  let least = Infinity;
  for (let tries = 0; tries < 20 && least >= 1.5; tries++) {
    spawnSync("/bin/true");
    execWakeup.noteExec();
    execWakeup.noteExec();
    least = Math.min(least, time(() => assert.equal(execWakeup.busyPoll(), true)));
  }
  assert(least < 1.5, `${least} ms although an exec waits`);
});

test(
  "the wait ends after a moment without an exec, and begins again when two have come",
  { skip },
  async () => {
    const system = await openSystem("test an exec wake-up");
    // Other programs exec, too: of some tries one is quiet.
    for (let tries = 0;; tries++) {
      using execWakeup = ExecWakeup.open(system.libc, "test an exec wake-up", 2);
      execWakeup.noteExec();
      execWakeup.noteExec();
      const first = time(() => assert.equal(execWakeup.busyPoll(), true));
      if (first >= 1.9) {
        assert.equal(execWakeup.busyPoll(), false);
        execWakeup.noteExec();
        execWakeup.noteExec();
        assert.equal(execWakeup.busyPoll(), true);
        break;
      }
      assert(tries < 50, "never quiet");
    }
  },
);

test("a watch busy-polls only if asked to, and all its sockets are closed with it", { skip }, async () => {
  const system = await openSystem("test an exec wake-up");
  const own = async (): Promise<number> => {
    const { sockets } = await inspectBus();
    return sockets.filter(({ owners }) => owners.some(({ pid }) => pid === process.pid)).length;
  };
  const before = await own();
  const polling = openProcessWatch(system, { processInfo: { fields: [] }, busyPollMs: 2 });
  const patient = openProcessWatch(system, { processInfo: { fields: [] } });
  const plain = openProcessWatch(system, { busyPollMs: 2 });
  assert.equal(await own(), before + 4);
  for (const watch of [polling, patient, plain]) watch.close();
  assert.equal(await own(), before);
});
