import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { watchProcesses } from "../../mod.ts";
import { sleep, whyNoProcessEvents } from "../support/kernel.ts";
import { AckListener } from "../support/listener.ts";
import { command, root, runtime } from "../support/runtimes.ts";

const skip = await whyNoProcessEvents();
const program = join(root, "tests/kernel/programs/ends.ts");

interface End {
  readonly status: number | null;
  readonly signal: string | null;
}

/** Runs the program and returns how it ended; `onReady` is called once it has subscribed. */
async function run(way: string, ack: number, onReady?: (pid: number) => void): Promise<End> {
  const [file, ...args] = command(runtime, program);
  const child = spawn(file!, [...args, way, String(ack)], { stdio: ["ignore", "pipe", "ignore"] });
  child.stdout!.once("data", () => onReady?.(child.pid!));
  const late = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const end = await new Promise<End>((resolve) =>
    child.on("exit", (status, signal) => resolve({ status, signal }))
  );
  clearTimeout(late);
  return end;
}

/** Each way to end, with the exit status of the runtime. */
const ways: Readonly<Record<string, number>> = {
  "break": 0,
  "throw": 0,
  "using": 0,
  "exit": 7,
  "exit unread": 7,
  "uncaught": 1,
  "rejection": 1,
  "signal": 0,
  "unref": 0,
  "unref read": 0,
  "connector unref": 0,
};

for (const [way, status] of Object.entries(ways)) {
  test(`a program that ends by "${way}" ends, and cancels its subscription once`, { skip }, async () => {
    using acks = await AckListener.open();
    // An IGNORE is acknowledged only while there is a listener.
    await using _ = await watchProcesses({ events: ["sid"] });
    const ack = Math.floor(Math.random() * 2 ** 31) * 2;
    // A shell that executes another program causes events for the readers.
    const end = await run(way, ack, (pid) => {
      if (way === "signal") setTimeout(() => process.kill(pid, "SIGTERM"), 100);
      if (way === "break" || way === "throw") spawn("/bin/true");
    });
    assert.deepEqual(end, { status, signal: null });
    assert(acks.count(ack + 1) >= 1, "the LISTEN was not seen");
    assert.equal(acks.count(ack + 2), 1, "not exactly one IGNORE");
  });
}

test("an open watch keeps the program alive even if nobody reads it", { skip }, async () => {
  const ended = run("stays alive", 2, async (pid) => {
    await sleep(1500);
    process.kill(pid, "SIGTERM");
  });
  assert.deepEqual(await ended, { status: 9, signal: null });
});
