// Four watchers that open, read and end in every possible way under a mixed load for some seconds. Prints as JSON
// the resources of the process at the start and at the end, and the requests to the kernel.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import type { Libc } from "../../../ffi/libc.ts";
import { openSystem } from "../../../lib/system.ts";
import { CN_IDX_PROC, CN_MSG } from "../../../lib/connector/message.ts";
import { NLMSGHDR } from "../../../lib/netlink/message.ts";
import { openProcessWatch } from "../../../lib/processes/open.ts";
import type { ProcessWatch } from "../../../lib/processes/watch.ts";
import type { WatchProcessesOptions } from "../../../lib/processes/options.ts";
import { PROC_CN_MCAST_IGNORE, PROC_CN_MCAST_LISTEN } from "../../../lib/processes/constants.ts";
import { decodeProcInput } from "../../../lib/processes/codec.ts";
import { viewOf } from "../../../lib/wire/bytes.ts";
import { sleep } from "../../support/kernel.ts";

const seconds = Number(process.argv[2]);
const system = await openSystem("test a mixed load");
/** By descriptor, whether the kernel counts it as a listener. It does not count a heartbeat's LISTEN again. */
const listening = new Set<number>();
const asked = { listened: 0, ignored: 0, ignoredTwice: 0, closedListening: 0 };
const libc: Libc = {
  ...system.libc,
  sendto(fd, bytes, ...rest) {
    const sent = system.libc.sendto(fd, bytes, ...rest);
    if (sent < 0 || viewOf(bytes).getUint32(NLMSGHDR.SIZE + CN_MSG.idx, true) !== CN_IDX_PROC) return sent;
    const { op } = decodeProcInput(bytes.subarray(NLMSGHDR.SIZE + CN_MSG.SIZE));
    if (op === PROC_CN_MCAST_LISTEN && !listening.has(fd)) {
      asked.listened++;
      listening.add(fd);
    } else if (op === PROC_CN_MCAST_IGNORE) {
      if (listening.delete(fd)) asked.ignored++;
      else asked.ignoredTwice++;
    }
    return sent;
  },
  close(fd) {
    if (listening.delete(fd)) asked.closedListening++;
    return system.libc.close(fd);
  },
};

const WAYS: readonly ((signal: AbortSignal) => WatchProcessesOptions)[] = [
  () => ({}),
  () => ({ events: ["exec"], latencyMs: 10 }),
  () => ({ exits: "failed", threads: false, receiveBufferBytes: 16 << 10 }),
  () => ({ pids: [process.pid, process.ppid], heartbeatMs: 20 }),
  () => ({ processInfo: true, snapshot: true }),
  () => ({ descendantsOf: process.pid, receiveBufferBytes: 8 << 10 }),
  () => ({ processInfo: { fields: ["commandLine"] }, comm: "sh" }),
  (signal) => ({ signal, events: ["comm", "exit"] }),
];

const LOAD = `
import os, sys, threading, time
end = time.time() + float(sys.argv[1])
def named():
    open("/proc/thread-self/comm", "w").write("a thread")
while time.time() < end:
    for code in range(20):
        if os.fork() == 0: os._exit(code % 3)
        os.wait()
    if os.fork() == 0: os.execv("/bin/sh", ["sh", "-c", "/bin/true; exit 4"])
    os.wait()
    t = threading.Thread(target=named); t.start(); t.join()
    time.sleep(0.005)
`;

interface State {
  readonly rssBytes: number;
  readonly descriptors: number;
  readonly threads: number;
}

function state(): State {
  return {
    rssBytes: process.memoryUsage().rss,
    descriptors: readdirSync("/proc/self/fd").length,
    threads: readdirSync("/proc/self/task").length,
  };
}

let turns = 0;
let events = 0;
const endings = new Map<string, number>();

/** Opens one watch, reads from it for a while, and ends it in one of the ways. */
async function yieldToEventLoop(random: number): Promise<void> {
  const abort = new AbortController();
  const watch = openProcessWatch({ ...system, libc }, WAYS[random % WAYS.length]!(abort.signal));
  turns++;
  const ending = ENDINGS[Math.floor(random / WAYS.length) % ENDINGS.length]!;
  endings.set(ending.name, (endings.get(ending.name) ?? 0) + 1);
  // There may be no event: ending must not wait for one.
  const timer = setTimeout(() => watch.close(), 20 + random % 180);
  try {
    await ending(watch, abort, 1 + random % 700);
  } finally {
    clearTimeout(timer);
    watch.close();
  }
}

const ENDINGS: readonly ((watch: ProcessWatch, abort: AbortController, count: number) => Promise<void>)[] = [
  async function left(watch, _, count) {
    for await (const _ of watch) if (++events % count === 0) break;
  },
  async function thrown(watch, _, count) {
    const enough = new Error("enough");
    try {
      for await (const _ of watch) if (++events % count === 0) throw enough;
    } catch (error) {
      if (error !== enough) throw error;
    }
  },
  async function aborted(watch, abort, count) {
    try {
      for await (const _ of watch) if (++events % count === 0) abort.abort(abort);
    } catch (error) {
      if (error !== abort) throw error;
    }
    watch.close(); // unless it has a signal
  },
  async function batches(watch, _, count) {
    for await (const batch of watch.batches()) if ((events += batch.length) > count * 100) break;
  },
  async function unread(watch) {
    await sleep(10);
    watch.close();
  },
  async function disposed(watch, _, count) {
    await using used = watch;
    while (count-- > 0 && !(await used.next()).done) events++;
  },
];

/** All four at once, until `endMs`. */
async function load(endMs: number): Promise<void> {
  await Promise.all([1, 2, 3, 4].map(async (seed) => {
    for (let random = seed; performance.now() < endMs;) {
      random = Math.imul(random, 1_664_525) + 1_013_904_223 >>> 0;
      await yieldToEventLoop(random >>> 8);
    }
  }));
  await sleep(50);
}

const generator = spawn("python3", ["-c", LOAD, String(seconds)], { stdio: ["ignore", "ignore", "inherit"] });
const ended = new Promise((resolve) => generator.on("close", resolve));
const startMs = performance.now();
const steps = 10;
const states: State[] = [];
for (let step = 1; step <= steps; step++) {
  await load(startMs + seconds * 1000 * step / steps);
  states.push(state());
}
const status = await ended;
console.log(
  JSON.stringify({ seconds, turns, events, endings: Object.fromEntries(endings), asked, states, status }),
);
