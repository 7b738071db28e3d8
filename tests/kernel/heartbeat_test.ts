import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import type { Libc, Machine } from "../../ffi/libc.ts";
import { openMachine } from "../../ffi/open.ts";
import { encodeDatagram } from "../../lib/connector/message.ts";
import { sockaddrNl } from "../../lib/netlink/address.ts";
import { PROC_CN_MCAST_IGNORE } from "../../lib/protocols/proc/constants.ts";
import type { ProcEvent } from "../../lib/protocols/proc/event.ts";
import { encodeProcInput } from "../../lib/protocols/proc/message.ts";
import { ProcWatch, type ProcWatchOptions } from "../../lib/protocols/proc/watch.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** The real machine, which remembers the sockets that were opened. */
async function spiedMachine(): Promise<{ machine: Machine; sockets: number[] }> {
  const machine = await openMachine("test heartbeats");
  const sockets: number[] = [];
  const libc: Libc = {
    ...machine.libc,
    socket(domain, type, protocol) {
      const fd = machine.libc.socket(domain, type, protocol);
      sockets.push(fd);
      return fd;
    },
  };
  return { machine: { ...machine, libc }, sockets };
}

for (
  const [name, options] of Object.entries<ProcWatchOptions>({
    "filtered": { events: ["sid"] },
    "unfiltered": {},
  })
) {
  test(`a quiet watch proves that it lives, and loses nothing by it: ${name}`, { skip }, async () => {
    const { machine } = await spiedMachine();
    await using watch = new ProcWatch(machine, { ...options, heartbeatMs: 10 });
    const seen: ProcEvent[] = [];
    const followed = (async () => {
      for await (const event of watch) seen.push(event);
    })();
    const children: number[] = [];
    for (let i = 0; i < 30; i++) {
      children.push(spawn("setsid", ["/bin/true"]).pid!);
      await sleep(12);
    }
    const ours = (): ProcEvent[] => seen.filter((event) => event.type === "sid" && children.includes(event.pid));
    await eventually("every child", () => ours().length === children.length);
    const { heartbeats, interruptions, lost } = watch.stats();
    watch.close();
    await followed;
    if (name === "filtered") assert(heartbeats > 0, "no heartbeat");
    assert.deepEqual({ interruptions, lost }, { interruptions: 0, lost: 0 });
    assert(name === "unfiltered" || seen.every(({ type }) => type === "sid"), "the heartbeat let something else through");
  });
}

test("a subscription that somebody ended is renewed, and the stream says so", { skip }, async () => {
  const { machine, sockets } = await spiedMachine();
  await using watch = new ProcWatch(machine, { events: ["sid"], heartbeatMs: 100 });
  const kernelFilters = watch.stats().kernelFilters;
  const seen: ProcEvent[] = [];
  const followed = (async () => {
    for await (const event of watch) seen.push(event);
  })();
  // From 6.6 on only our own socket can take back what it asked for; before, anybody can, so does this one.
  const ignore = encodeDatagram({
    id: { idx: 1, val: 1 },
    seq: 0,
    ack: 0,
    flags: 0,
    data: encodeProcInput(PROC_CN_MCAST_IGNORE),
  });
  if (!kernelFilters) return watch.close(); // would mute every other program of the machine: see the guest's test
  assert(machine.libc.sendto(sockets[0]!, ignore, 0, sockaddrNl(0, 0)) > 0);
  // The LISTEN of the heartbeat itself repairs it: a socket that was taken back is counted again.
  await sleep(300);
  const child = spawn("setsid", ["/bin/true"]);
  await eventually("the child", () => seen.some((event) => event.type === "sid" && event.pid === child.pid));
  watch.close();
  await followed;
});
