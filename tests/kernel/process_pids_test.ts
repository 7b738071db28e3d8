import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { WatchProcessesOptions } from "../../lib/processes/options.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";
import { command, root as folder, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
const root = process.getuid!() === 0;
const LAST_PID = "/proc/sys/kernel/ns_last_pid";

/** A shell that has finished its exec, and continues with each line on its input. */
async function start(script: string): Promise<ChildProcess> {
  const child = spawn("/bin/sh", ["-c", `echo ready; ${script}`], { stdio: ["pipe", "pipe", "ignore"] });
  await once(child.stdout!, "data");
  return child;
}

/** All events until the watch ends by itself. */
async function eventsOf(options: WatchProcessesOptions, begin: () => void): Promise<ProcessEvent[]> {
  const signal = AbortSignal.timeout(30_000);
  const watch = openProcessWatch(await openSystem("test"), { signal, ...options });
  begin();
  const events: ProcessEvent[] = [];
  for await (const event of watch) events.push(event);
  return events;
}

const kinds: Readonly<Record<string, WatchProcessesOptions>> = {
  "all events": {},
  "no exits among them": { events: ["exec"] },
  "failed exits, and its own is none": { events: ["exit"], exits: "failed" },
  "with threads": { threads: true },
  "with a table": { processInfo: true },
  "with a table and a choice": { comm: "sh", events: ["exec"] },
};

for (const [name, options] of Object.entries(kinds)) {
  test(`a watch of pids ends with the last of these processes: ${name}`, { skip }, async () => {
    const first = await start("read x; exit 0");
    const second = await start("read x; read y; exec /bin/true");
    const pids = [first.pid!, second.pid!];
    const events = await eventsOf({ ...options, pids }, () => {
      second.stdin!.write("x\n");
      first.stdin!.end("x\n");
      first.once("exit", () => second.stdin!.end("y\n"));
    });
    for (const event of events) {
      if (event.type === "lost") continue;
      const about = event.type === "fork" ? [event.parentPid, event.pid] : [event.pid!];
      assert(about.some((pid) => pids.includes(pid)), event.type);
      assert(options.events === undefined || options.events.some((kind) => kind === event.type), event.type);
    }
    const seen = events.map((event) => `${event.type} ${pids.indexOf(event.pid!)}`);
    if (options.events === undefined) {
      assert.deepEqual(seen.filter((each) => /exit/.test(each)), ["exit 0", "exit 1"]);
    } else assert.deepEqual(seen, name === "no exits among them" ? ["exec 1"] : []);
  });
}

test("a watch of a tree ends with its last process, not with its root", { skip }, async () => {
  const script = "exec 3<&0; (read x <&3; exit 3) & echo ready; wait";
  const family = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
  await once(family.stdout!, "data");
  family.once("exit", () => family.stdin!.end("x\n"));
  const events = await eventsOf({ descendantsOf: family.pid!, events: ["exit"] }, () => {
    process.kill(family.pid!, "SIGTERM");
  });
  assert.deepEqual(events.map((event) => event.type === "exit" && (event.signal ?? event.exitCode)), [
    "SIGTERM",
    3,
  ]);
});

test("another process that reuses the pid is not shown", {
  skip: skip || (root && existsSync(LAST_PID) ? false : "wants root and ns_last_pid"),
}, async () => {
  const child = await start("read x; read y; exit 0");
  const options = { pids: [child.pid!, process.pid], events: ["fork", "exec", "exit"] } as const;
  const signal = AbortSignal.timeout(30_000);
  const system = await openSystem("test");
  await using watch = openProcessWatch(system, { ...options, signal });
  await using byNumber = openProcessWatch(system, { ...options, pidReuse: true, signal });
  child.stdin!.end("x\ny\n");
  await once(child, "exit");
  let again: ChildProcess;
  let tries = 0;
  do {
    writeFileSync(LAST_PID, String(child.pid! - 1));
    again = spawn("/bin/true");
    await once(again, "exit");
  } while (again.pid !== child.pid && tries++ < 500);
  assert.equal(again.pid, child.pid, "others are always faster to take the number");
  const marker = spawn("/bin/true");
  const seenBy = async (events: AsyncIterable<ProcessEvent>): Promise<string[]> => {
    const seen: string[] = [];
    for await (const event of events) {
      if (event.type === "fork" && event.pid === marker.pid) break;
      if (event.pid === child.pid) seen.push(event.type);
    }
    return seen;
  };
  // This process has created it, and is one of those that were chosen.
  assert.deepEqual(await seenBy(watch), ["exit", "fork"]);
  assert.deepEqual(await seenBy(byNumber), ["exit", "fork", "exec", "exit"]);
});

test(
  "a pid that does not exist, has ended, or belongs to a thread is an error at once",
  { skip },
  async () => {
    const system = await openSystem("test");
    const free = 2 ** 22; // one more than the largest possible pid
    for (const options of [{}, { processInfo: true }]) {
      assert.throws(
        () => openProcessWatch(system, { ...options, pids: [process.pid, free] }),
        new RegExp(`^ProcessGoneError: Cannot watch process ${free}: there is no such process$`),
      );
      assert.throws(() => openProcessWatch(system, { ...options, pids: [] }), /the list of pids is empty/);
      openProcessWatch(system, { ...options, pids: [free], pidReuse: true }).close();
    }
  },
);

test("cnctl watch -p ends with the process, and fails at once if there is none", { skip }, async () => {
  const child = await start("read x; exit 3");
  const [program, ...before] = command(runtime, join(folder, "lib/cli/main.ts"));
  const run = spawn(program!, [...before, "watch", "-p", String(child.pid)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  run.stdout!.setEncoding("utf8").on("data", (text: string) => {
    if (out === "") child.stdin!.end("x\n"); // the header: the watch is open
    out += text;
  });
  const [status] = await once(run, "close");
  assert.equal(status, 0);
  assert.match(out, new RegExp(` exit +${child.pid} .* 3, parent \\d+ .*\n$`));
  const none = spawnSync(program!, [...before, "watch", "-p", "4194304"], { encoding: "utf8" });
  assert.equal(none.status, 1);
  assert.match(none.stderr, /Cannot watch process 4194304: there is no such process/);
});
