import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { openMachine } from "../../ffi/open.ts";
import { ExecBell } from "../../lib/protocols/proc/bell.ts";
import type { ProcEvent } from "../../lib/protocols/proc/event.ts";
import { ProcWatch } from "../../lib/protocols/proc/watch.ts";
import { connectorUsers } from "../../mod.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** How long `act` took. */
function time(act: () => unknown): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}

test("the bell rings for an exec, once execs come in quick succession", { skip }, async () => {
  const machine = await openMachine("test the bell");
  await using _watch = new ProcWatch(machine, {}); // without a listener the kernel sends nothing to anybody
  using bell = ExecBell.open(machine.libc, "test the bell");
  assert.equal(bell.linger(), false, "nothing was heard yet");
  bell.heard();
  assert.equal(bell.linger(), false, "the first follows none");
  // The time of one try may be another program's.
  let least = Infinity;
  for (let tries = 0; tries < 20 && least >= 1.5; tries++) {
    spawnSync("/bin/true");
    bell.heard();
    bell.heard();
    least = Math.min(least, time(() => assert.equal(bell.linger(), true)));
  }
  assert(least < 1.5, `${least} ms although an exec waits`);
});

test(
  "the bell gives up after a moment without an exec, and waits no more until two have come",
  { skip },
  async () => {
    const machine = await openMachine("test the bell");
    // Other programs exec, too: of some tries one is quiet.
    for (let tries = 0;; tries++) {
      using bell = ExecBell.open(machine.libc, "test the bell");
      bell.heard();
      bell.heard();
      const first = time(() => assert.equal(bell.linger(), true));
      if (first >= 1.9) {
        assert.equal(bell.linger(), false);
        bell.heard();
        bell.heard();
        assert.equal(bell.linger(), true);
        break;
      }
      assert(tries < 50, "never quiet");
    }
  },
);

test("a watch with a table has a bell, and both sockets are gone with it", { skip }, async () => {
  const machine = await openMachine("test the bell");
  const hooks = { batch: (events: ProcEvent[]) => events, dueMs: () => undefined, filters: [] };
  const own = async (): Promise<number> => {
    const { sockets } = await connectorUsers();
    return sockets.filter(({ owners }) => owners.some(({ pid }) => pid === process.pid)).length;
  };
  const before = await own();
  const eager = new ProcWatch(machine, {}, { ...hooks, eager: true });
  const patient = new ProcWatch(machine, {}, { ...hooks, eager: false });
  assert.equal(await own(), before + 3);
  eager.close();
  patient.close();
  assert.equal(await own(), before);
});
