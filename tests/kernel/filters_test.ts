import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import type { ProcessWatch } from "../../lib/processes/watch.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import type { EventFilter, FilterPlace } from "../../lib/processes/event_filter.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { openEventWatch } from "../processes/open_watch.ts";

const skip = await whyNoProcessEvents();

/** Each place where a filter can run; each handles as much of the filter as it supports. */
const placements: Readonly<Record<string, readonly FilterPlace[]>> = {
  "kernel and bpf": ["kernel", "bpf"],
  "kernel and typescript": ["kernel"],
  "bpf": ["bpf"],
  "typescript": [],
};

/** Processes, failures, a signal, threads, names, users, sessions. */
const load = `
import os, threading, time
for code in (0, 3):
    if os.fork() == 0: os._exit(code)
    os.wait()
if os.fork() == 0: os.kill(os.getpid(), 9)
os.wait()
def named():
    open("/proc/thread-self/comm", "w").write("a thread")
for _ in range(3):
    t = threading.Thread(target=named); t.start(); t.join()
open("/proc/self/comm", "w").write("renamed")
if os.fork() == 0:
    os.setsid()
    if os.getuid() == 0: os.setgid(1); os.setuid(1)
    os.execv("/bin/false", ["false"])
os.wait()
`;

const filters: Readonly<Record<string, (pid: number) => EventFilter>> = {
  "kinds": () => ({ events: ["exec", "exit", "sid", "gid"] }),
  "failed exits": () => ({ exits: "failed" }),
  "failed exits among other kinds": () => ({ events: ["fork", "exit"], exits: "failed" }),
  "no threads": () => ({ threads: false }),
  "pids": (pid) => ({ pids: [pid, 1] }),
  "too many pids for a program": (pid) => ({
    pids: [pid, ...Array.from({ length: 100 }, (_, i) => 2_000_000 + i)],
  }),
  "all of them": (pid) => ({
    events: ["fork", "exit", "comm"],
    exits: "failed",
    threads: false,
    pids: [pid],
  }),
};

for (const [name, filterOf] of Object.entries(filters)) {
  test(`every place gives the same stream: ${name}`, { skip }, async () => {
    const system = await openSystem("compare filters");
    // The load waits for a line, so that every watch is open before it starts.
    const child = spawn("python3", ["-c", `print("ready", flush=True)\ninput()\n${load}`], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    const filter = filterOf(child.pid!);
    const watches = Object.values(placements).map((places) => openEventWatch(system, filter, { places }));
    const all = openEventWatch(system, {});
    const streams: string[][] = [];
    const family = new Set([child.pid!]);
    const isOurs = (event: ProcessEvent): boolean =>
      event.pid !== undefined &&
      (family.has(event.pid) || (event.type === "fork" && family.has(event.parentPid)));
    let ended = false;
    const follow = async (watch: ProcessWatch, into: ProcessEvent[]): Promise<void> => {
      for await (const event of watch) {
        if (watch === all && event.type === "fork" && family.has(event.parentPid)) family.add(event.pid);
        if (watch === all && event.type === "exit" && event.pid === child.pid && !event.thread) ended = true;
        into.push(event);
      }
    };
    const events: ProcessEvent[][] = [];
    const followed = [all, ...watches].map((watch, i) => follow(watch, events[i] = []));
    child.stdin!.end("go\n");
    await eventually("the load's end", () => ended, 60_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const watch of [all, ...watches]) watch.close();
    await Promise.all(followed);
    for (const seen of events.slice(1)) {
      streams.push(
        seen.filter(isOurs).map((event) =>
          JSON.stringify(event, (_, value) => typeof value === "bigint" ? String(value) : value)
        )
          .sort(),
      );
    }
    assert(streams[0]!.length > 0, "nothing was seen");
    assert(streams[0]!.length < events[0]!.filter(isOurs).length, "nothing was filtered");
    Object.keys(placements).forEach((place, i) => assert.deepEqual(streams[i], streams[0], place));
    const places = watches[0]!.stats().filters.map(({ places }) => places);
    assert(places.every((list) => list.length > 0), JSON.stringify(places));
  });
}
