import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { closeTerminatedWorkers, watchProcesses } from "../../mod.ts";
import { sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { AckListener } from "../support/listener.ts";
import { root } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();

/** Starts a worker; resolves when it watches. */
async function started(): Promise<Worker> {
  const worker = new Worker(join(root, "tests/kernel/programs/watching_worker.ts"));
  await new Promise((resolve, reject) => {
    worker.on("message", resolve);
    worker.on("error", reject);
  });
  return worker;
}

test(
  "a terminated worker ends, and closeTerminatedWorkers() closes what it left",
  { skip, timeout: 60_000 },
  async () => {
    using acks = await AckListener.open();
    await using own = await watchProcesses({ events: ["exec"] });
    const [gone, stays] = [await started(), await started()];
    assert.equal(await closeTerminatedWorkers(), 0, "both live");
    // Its waiting thread is inside a C call, and terminate() waits for it.
    await gone.terminate();
    const ack = Math.floor(Math.random() * 2 ** 31) * 2;
    const random = Math.random;
    let closed = 0;
    for (let tries = 0; closed < 2 && tries < 200; tries++) {
      Math.random = () => ack / 2 ** 32;
      closed += await closeTerminatedWorkers().finally(() => Math.random = random);
      await sleep(20);
    }
    assert.equal(closed, 2, "its watch and its connector");
    assert.equal(acks.count(ack + 2), 1, "its subscription was not taken back, once");
    assert.equal(await closeTerminatedWorkers(), 0, "our own and the other worker's are left alone");
    const child = spawn("/bin/true");
    for await (const event of own) if (event.type === "exec" && event.pid === child.pid) break;
    await stays.terminate();
  },
);
