import { assert, assertEquals, assertRejects } from "@std/assert";
import { waitForExit, watchProcesses } from "kernel-connector";
import { whyNoProcessEvents } from "../support/kernel.ts";

// Deno's test runner fails a test that leaves an operation or a resource behind: each of these shows that closing
// releases everything.
const ignore = await whyNoProcessEvents() !== false;

function shell(script: string): Deno.ChildProcess {
  return new Deno.Command("/bin/sh", { args: ["-c", script], stdin: "null" }).spawn();
}

Deno.test("a child's exec and exit are seen, with the program and the status", { ignore }, async () => {
  await using events = await watchProcesses({ events: ["exec", "exit"], processInfo: true });
  const child = shell("exit 3");
  const seen: string[] = [];
  for await (const event of events) {
    if (event.type === "lost" || event.pid !== child.pid) continue;
    seen.push(event.type);
    if (event.type !== "exit") continue;
    assertEquals(event.exitCode, 3);
    assertEquals(event.signal, null);
    assert(event.process?.comm !== undefined);
    break;
  }
  assertEquals(seen, ["exec", "exit"]);
  assertEquals((await child.status).code, 3);
});

Deno.test("waitForExit() resolves with the signal that ended a process", { ignore }, async () => {
  const child = shell("exec sleep 60");
  const gone = waitForExit(child.pid);
  child.kill("SIGTERM");
  const { exitCode, signal } = await gone;
  assertEquals(exitCode, null);
  assertEquals(signal, "SIGTERM");
  assertEquals((await child.status).signal, "SIGTERM");
});

Deno.test("breaking out of the loop closes the watch", { ignore }, async () => {
  const events = await watchProcesses({ events: ["exit"] });
  const child = shell("exit 0");
  for await (const event of events) {
    if (event.type === "exit" && event.pid === child.pid) break;
  }
  assertEquals((await events.next()).done, true);
  await child.status;
});

Deno.test("an aborted signal ends the iteration with its reason", { ignore }, async () => {
  const abort = new AbortController();
  const events = await watchProcesses({ events: ["coredump"], signal: abort.signal });
  const reading = assertRejects(() => events.next(), Error, "enough");
  abort.abort(new Error("enough"));
  await reading;
});
