import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { watchProcesses } from "../../mod.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

for (const processInfo of [false, true]) {
  test(
    `drain() delivers what is queued and ends the iteration, processInfo: ${processInfo}`,
    { skip },
    async () => {
      const events = await watchProcesses({ events: ["exit"], processInfo });
      const before = spawnSync("/bin/true").pid;
      events.drain();
      const after = spawnSync("/bin/true").pid;
      events.drain(); // does nothing
      const pids = new Set<number>();
      for await (const event of events) {
        if (event.type === "exit" && event.parentPid === process.pid) pids.add(event.pid);
      }
      assert.deepEqual([pids.has(before), pids.has(after)], [true, false]);
      assert.deepEqual(await events.next(), { value: undefined, done: true }, "it is closed");
      events.drain();
      events.close();
    },
  );
}

test("drain() ends an iteration that waits", { skip }, async () => {
  const events = await watchProcesses({ events: ["sid"] });
  const waiting = (async () => {
    for await (const event of events) void event;
    return "ended";
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  events.drain();
  assert.equal(await waiting, "ended");
});
