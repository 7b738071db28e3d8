import assert from "node:assert/strict";
import { test } from "node:test";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { UsageAccounts } from "../../lib/processes/usage.ts";
import { LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import { KernelLibc } from "../diagnose/context.ts";
import { fakeSystem } from "../support/fake_poller.ts";
import { taskAttributes } from "../taskstats/vectors.ts";
import { Events } from "./events.ts";

/** The number that the scripted kernel gives to TASKSTATS. */
const FAMILY = 23;

/** The kernel's message for a task that ended, after so many nanoseconds on a processor. */
function ended(tid: number, ns: bigint): Uint8Array {
  const attributes = taskAttributes(tid, ns, ns);
  const bytes = new Uint8Array(20 + attributes.length);
  viewOf(bytes).setUint32(0, bytes.length, LITTLE);
  viewOf(bytes).setUint16(4, FAMILY, LITTLE);
  bytes.set(attributes, 20);
  return bytes;
}

test("a thread of an earlier process is not counted for a later one with its pid", () => {
  const libc = new KernelLibc();
  const make = new Events(() => 0n);
  const { collect, attach } = new UsageAccounts(fakeSystem(libc), "test");
  collect.start!();
  const context = { drained: true, peek: () => [] };
  const pass = (event: ProcessEvent, message?: Uint8Array): ProcessEvent => {
    if (message !== undefined) libc.receives("all", { bytes: message });
    attach.process(collect.process([event], context), context);
    return event;
  };
  pass(make.thread(7, 8));
  pass(make.exit(7, 8), ended(8, 500n)); // the exit of its process is lost
  pass(make.fork(1, 7));
  const exit = pass(make.exit(7), ended(7, 30n));
  assert(exit.type === "exit");
  assert.deepEqual([exit.usage?.cpuNs, exit.usage?.threads], [30, 1]);
  collect.close!();
  libc.assertAllClosed();
});
