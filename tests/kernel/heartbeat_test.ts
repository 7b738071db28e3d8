import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { Libc, System } from "../../ffi/libc.ts";
import { openSystem } from "../../lib/system.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { type EventWatchOptions, openEventWatch } from "../processes/open_watch.ts";

const skip = await whyNoProcessEvents();

/** The real system; while `deaf`, the probes of its first socket do not reach the kernel. */
async function machineThatMay(be: { deaf: boolean }): Promise<System> {
  const system = await openSystem("test heartbeats");
  let first: number | undefined;
  let opened = 0;
  const libc: Libc = {
    ...system.libc,
    socket(domain, type, protocol) {
      const fd = system.libc.socket(domain, type, protocol);
      // The second may reuse the descriptor of the first, which is closed by then.
      if (opened++ === 0) first = fd;
      else if (fd === first) first = undefined;
      return fd;
    },
    sendto: (fd, data, flags, address) =>
      be.deaf && fd === first ? data.length : system.libc.sendto(fd, data, flags, address),
    prctl: (option, argument) => be.deaf ? 0 : system.libc.prctl(option, argument),
  };
  return { ...system, libc };
}

for (
  const [name, options] of Object.entries<EventWatchOptions>({
    "filtered": { events: ["sid"] },
    "unfiltered": {},
  })
) {
  test(`an idle watch probes its subscription without losing events: ${name}`, { skip }, async () => {
    const system = await machineThatMay({ deaf: false });
    await using watch = openEventWatch(system, { ...options, heartbeatMs: 10 });
    const seen: ProcessEvent[] = [];
    const followed = (async () => {
      for await (const event of watch) seen.push(event);
    })();
    const children: number[] = [];
    for (let i = 0; i < 30; i++) {
      children.push(spawn("setsid", ["/bin/true"]).pid!);
      await sleep(12);
    }
    const ours = (): ProcessEvent[] =>
      seen.filter((event) => event.type === "sid" && children.includes(event.pid));
    await eventually("every child", () => ours().length === children.length);
    const { heartbeats, interruptions, lost } = watch.stats();
    watch.close();
    await followed;
    if (name === "filtered") assert(heartbeats > 0, "no heartbeat");
    assert.deepEqual({ interruptions, lost }, { interruptions: 0, lost: 0 });
    assert(
      name === "unfiltered" || seen.every(({ type }) => type === "sid"),
      "the heartbeat let something else through",
    );
  });
}

test("a dead subscription is renewed, and the stream reports it", { skip }, async () => {
  const be = { deaf: false };
  await using watch = openEventWatch(await machineThatMay(be), { events: ["sid"], heartbeatMs: 100 });
  const seen: ProcessEvent[] = [];
  const followed = (async () => {
    for await (const event of watch) {
      seen.push(event);
      be.deaf = false;
    }
  })();
  be.deaf = true;
  await eventually("an interruption", () => watch.stats().interruptions > 0);
  const child = spawn("setsid", ["/bin/true"]);
  await eventually("the child", () => seen.some((event) => event.type === "sid" && event.pid === child.pid));
  watch.close();
  await followed;
  const lost = seen.find((event) => event.type === "lost");
  assert(lost?.type === "lost" && lost.count === undefined && lost.sinceNs < lost.timestampNs);
  assert.equal(watch.stats().interruptions, 1);
});
