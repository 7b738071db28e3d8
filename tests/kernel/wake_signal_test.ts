import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openConnector, watchProcesses } from "../../mod.ts";
import { whyNoBus } from "../connector/kernel.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { binary, command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoBus() || await whyNoProcessEvents();
/** A longer run, for example WAKE_UP_MESSAGES=1000000, finds more. */
const messages = Number(process.env.WAKE_UP_MESSAGES ?? 30_000);
/** The long run is for a machine without other load. */
const isLong = messages >= 1_000_000;
const SERVICE = { idx: 27, val: 1 };

/** Bun runs all test files in one process, and signals of what others have left open would be counted here. */
const ALONE = "WAKE_SIGNAL_TEST_ALONE";
const isAlone = runtime !== "bun" || process.env[ALONE] !== undefined;
const alone: typeof test = isAlone ? test : (() => {}) as never;
if (!isAlone) {
  test("the wake-up signal, in a process of its own", { skip, timeout: 1_200_000 }, () => {
    const file = join(root, "tests/kernel/wake_signal_test.ts");
    const { status, stderr } = spawnSync(binary("bun"), ["test", "--timeout=600000", file], {
      env: { ...process.env, [ALONE]: "1" },
      encoding: "utf8",
    });
    assert.equal(status, 0, stderr);
  });
}

for (const latencyMs of [0, 2]) {
  alone(`no wake-up is lost: ${messages} messages in random bursts, latencyMs ${latencyMs}`, {
    skip,
    timeout: 600_000,
  }, async () => {
    await using service = await openConnector({ latencyMs });
    service.addCallback(SERVICE, "answers", (message, reply) => reply(message.data));
    const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/bursts.ts"));
    const child = spawn(file!, [...args, String(service.port), String(messages)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    for await (const chunk of child.stdout!.setEncoding("utf8")) text += chunk;
    const { longestMs } = JSON.parse(text);
    const { received, lost, wakeUps } = service.stats();
    assert(received >= messages, `${received} received`);
    assert.equal(lost, 0);
    console.log(`${received} messages, ${wakeUps} wake-ups, longest wait ${longestMs.toFixed(1)} ms`);
    if (isLong) assert(longestMs < 1000);
  });
}

/** Counts the calls of a listener of SIGURG. */
function countSignals(): { count: number } & Disposable {
  const counter = {
    count: 0,
    [Symbol.dispose]: () => void process.off("SIGURG", onSignal),
  };
  const onSignal = (): void => void counter.count++;
  process.on("SIGURG", onSignal);
  return counter;
}

alone("while it drains or pauses, a receiver is sent no signals but the one that switches them off", {
  skip,
  timeout: 60_000,
}, async () => {
  const latencyMs = 50;
  await using service = await openConnector({ latencyMs });
  service.addCallback(SERVICE, "is silent", () => {});
  using signals = countSignals();
  await using other = await openConnector();
  const start = performance.now();
  for (let sent = 0; sent < 20_000; sent += 10) {
    for (let i = 0; i < 10; i++) other.send(SERVICE, new Uint8Array(8), { port: service.port });
    await sleep(0);
  }
  await eventually("all of them", () => service.stats().received >= 20_000);
  const { wakeUps } = service.stats();
  // A token bucket of 8, which gets one back in each pause.
  assert(wakeUps <= 9 + (performance.now() - start) / latencyMs, `${wakeUps} wake-ups`);
  assert(signals.count <= 2 * wakeUps + 2, `${signals.count} signals, ${wakeUps} wake-ups`);
  console.log(`${wakeUps} wake-ups, ${signals.count} signals for 20000 messages`);
});

/** The names of this process's threads. */
function threads(): string[] {
  return readdirSync("/proc/self/task").map((tid) => {
    try {
      return readFileSync(`/proc/self/task/${tid}/comm`, "utf8").trim();
    } catch {
      return ""; // it has ended
    }
  });
}

/** Reads until an exec of a child was seen, and closes the watch. */
async function seesExec(watch: Awaited<ReturnType<typeof watchProcesses>>): Promise<void> {
  const child = spawn("/bin/true");
  for await (const event of watch) if (event.type === "exec" && event.pid === child.pid) return;
}

/** How many epoll sets of this process hold something. */
function epollSets(): number {
  return readdirSync("/proc/self/fdinfo").filter((fd) => {
    try {
      return readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").includes("tfd:");
    } catch {
      return false; // it was the folder's own
    }
  }).length;
}

alone("a watch of the main thread starts no thread", { skip }, async () => {
  spawn("/bin/true"); // for which a runtime may start threads of its own
  await sleep(200);
  const before = threads();
  await using watch = await watchProcesses({ events: ["exec"] });
  await sleep(100);
  const now = threads();
  assert(now.length <= before.length, `${before} became ${now}`);
  await seesExec(watch);
});

alone(
  "where the program listens to SIGURG itself, a watch waits by a thread, and does not call its listener",
  {
    // In Deno nobody knows the listeners of others: they are called as well.
    skip: skip || (runtime === "deno" && "Deno does not say who listens"),
  },
  async () => {
    await sleep(200); // a signal for the watch of the test before may still come
    const setsBefore = epollSets();
    using signals = countSignals();
    await using watch = await watchProcesses({ events: ["exec"] });
    assert(epollSets() > setsBefore, "a set of its own");
    await seesExec(watch);
    assert.equal(signals.count, 0);
  },
);

alone("a listener that comes later or goes does not keep a watch from being woken", { skip }, async () => {
  await using watch = await watchProcesses({ events: ["exec", "fork"], threads: true });
  {
    using signals = countSignals();
    for (let round = 0; round < 3; round++) {
      const child = spawn("/bin/true");
      for (;;) {
        const { value } = await watch.next();
        if (value?.type === "exec" && value.pid === child.pid) break;
      }
    }
    await eventually("the signal", () => signals.count > 0);
  }
  process.kill(process.pid, "SIGURG"); // somebody else's
  const child = spawn("/bin/true");
  for await (const event of watch) if (event.type === "exec" && event.pid === child.pid) break;
});

alone(
  "a watch whose listener was removed recovers with its heartbeat",
  { skip, timeout: 60_000 },
  async () => {
    await using watch = await watchProcesses({ events: ["exec"], heartbeatMs: 100 });
    const first = watch.next(); // it waits when the listener goes
    await sleep(20);
    process.removeAllListeners("SIGURG");
    const child = spawn("/bin/true");
    for (let { value } = await first; value !== undefined; { value } = await watch.next()) {
      if (value.type === "exec" && value.pid === child.pid) return;
    }
  },
);
