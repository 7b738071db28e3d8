// The kernel's count of listeners, which only a kernel shows on which nobody has listened yet: while it is zero, even
// a member of the group gets nothing.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../../lib/system.ts";
import { encodeDatagram } from "../../../lib/connector/message.ts";
import { DatagramBatch } from "../../../lib/netlink/datagram_batch.ts";
import { NetlinkSocket } from "../../../lib/netlink/socket.ts";
import { PROC_CN_MCAST_IGNORE } from "../../../lib/processes/constants.ts";
import { encodeProcInput } from "../../../lib/processes/codec.ts";
import { type ProcessEvent, watchProcesses } from "../../../mod.ts";
import { eventually, sleep } from "../../support/kernel.ts";
import { command, root, runtime } from "../../support/runtimes.ts";
import { skipWithout, vmKernel } from "./support.ts";

const skip = skipWithout();
const program = join(root, "tests/kernel/programs/ends.ts");

/** How many events a member gets that never sent a LISTEN. */
async function heardByABystander(): Promise<number> {
  const { libc } = await openSystem("stand by");
  using socket = NetlinkSocket.open(libc, "stand by");
  socket.join(1);
  for (let i = 0; i < 5; i++) spawnSync("/bin/true");
  return Math.max(0, new DatagramBatch(libc, 64, 128).receive(socket.fd));
}

test("no events arrive before a program listens", { skip }, async () => {
  assert.equal(await heardByABystander(), 0);
});

test("a bystander receives events while a watch is open, and none after it is closed", { skip }, async () => {
  const events = await watchProcesses();
  assert(await heardByABystander() > 0);
  events.close();
  assert.equal(await heardByABystander(), 0);
});

test("however a program ends, its subscription ends as well", { skip, timeout: 280_000 }, async () => {
  for (const way of ["break", "exit", "uncaught", "rejection", "signal"]) {
    const [file, ...args] = command(runtime, program);
    const child = spawn(file!, [...args, way, "4711"], { stdio: ["ignore", "pipe", "ignore"] });
    const ended = new Promise((resolve) => child.on("exit", resolve));
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    if (way === "signal") process.kill(child.pid!, "SIGTERM");
    if (way === "break") spawnSync("/bin/true");
    await ended;
    assert.equal(await heardByABystander(), 0, way);
  }
});

const skipMuting = skip ||
  (vmKernel === "5.10" || vmKernel === "6.1" ? false : "from 6.6 on nobody can mute others");

test("a watch that another program has muted is renewed, and reports it", { skip: skipMuting }, async () => {
  const { libc } = await openSystem("mute others");
  using stranger = NetlinkSocket.open(libc, "mute others");
  await using events = await watchProcesses({ events: ["exec"], heartbeatMs: 500 });
  const seen: ProcessEvent[] = [];
  const followed = (async () => {
    for await (const event of events) seen.push(event);
  })();
  await sleep(50);
  const ignore = encodeDatagram({
    id: { idx: 1, val: 1 },
    seq: 0,
    ack: 0,
    flags: 0,
    data: encodeProcInput(PROC_CN_MCAST_IGNORE),
  });
  for (let i = 0; i < 3; i++) assert(stranger.send(ignore) > 0);
  const unheard = spawn("/bin/true");
  await eventually("the loss is reported", () => seen.some(({ type }) => type === "lost"), 20_000);
  const heard = spawn("/bin/true");
  await eventually(
    "events flow again",
    () => seen.some((event) => event.pid === heard.pid),
    20_000,
  );
  events.close();
  await followed;
  assert(!seen.some((event) => event.pid === unheard.pid));
  const lost = seen.find((event) => event.type === "lost");
  assert(lost?.type === "lost" && lost.count === undefined);
  assert.equal(events.stats().interruptions, 1);
});
