import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ProcFs } from "../../lib/procfs/process.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { whyNoEvents } from "../processes/kernel.ts";
import { eventually } from "../support/kernel.ts";

const skip = await whyNoEvents();

test("after a loss, applying the stream yields the processes in /proc again", { skip }, async () => {
  const system = await openSystem("test");
  const procFs = new ProcFs(system.libc);
  // Room for a few dozen events, while hundreds arrive.
  const watch = openProcessWatch(system, { processInfo: true, snapshot: true, receiveBufferBytes: 4096 });
  const shell = spawn("/bin/sh", [
    "-c",
    "i=0; while [ $i -lt 300 ]; do (:); i=$((i+1)); done; for i in 1 2 3; do sleep 60 >/dev/null & echo $!; done; wait",
  ]);
  const sleepers: number[] = [];
  try {
    for await (const text of shell.stdout) {
      sleepers.push(...String(text).split("\n").filter((line) => line !== "").map(Number));
      if (sleepers.length === 3) break;
    }
    const programs = new Map<number, string | undefined>();
    const forked = new Set<number>();
    let lost = 0;
    const right = (): boolean =>
      sleepers.every((pid) => programs.get(pid) === "sleep 60") &&
      [...forked].every((pid) => !programs.has(pid) || procFs.stat(pid) !== undefined);
    const fold = (event: ProcessEvent): void => {
      if (event.type === "lost") lost++;
      if (event.type === "fork" && event.parentPid === shell.pid) forked.add(event.pid);
      if (event.type === "fork") programs.set(event.pid, event.process?.commandLine?.join(" "));
      else if (event.type === "exec") programs.set(event.pid, event.process?.commandLine?.join(" "));
      else if (event.type === "exit" && !event.thread) programs.delete(event.pid);
    };
    const started = performance.now();
    for await (const batch of watch.batches()) {
      batch.forEach(fold);
      if (lost > 0 && right()) break;
      assert(performance.now() - started < 30_000, `${lost} losses, and still wrong`);
    }
    assert(lost > 0);
  } finally {
    watch.close();
    for (const pid of sleepers) process.kill(pid, "SIGKILL");
    await once(shell, "exit");
  }
});

test("a tree finds its orphans after a loss", { skip }, async () => {
  const system = await openSystem("test");
  // Before and in between, more events than the buffer holds.
  const noise = "i=0; while [ $i -lt 40 ]; do /bin/true; i=$((i + 1)); done";
  const orphans = "for i in 1 2 3 4 5; do (sleep 60 & echo $!); done";
  // In a session of its own, which it does not lead: what takes the orphans in is of another one, wherever this runs.
  const script = `echo $$; read line; ${noise}; ${orphans}; ${noise}; echo end; read line`;
  const leader = spawn("/bin/sh", ["-c", 'sh -c "$0"; :', script], {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  let said = "";
  leader.stdout.setEncoding("utf8").on("data", (text: string) => said += text);
  await eventually("the root's pid", () => said.endsWith("\n"));
  const root = Number(said);
  said = "";
  const watch = openProcessWatch(system, { descendantsOf: root, receiveBufferBytes: 4096 });
  const found = new Set<number>();
  const pids = (): number[] => said.split("\n").slice(0, -1).filter((line) => line !== "end").map(Number);
  try {
    leader.stdin.write("go\n");
    await eventually("the script", () => said.endsWith("end\n"));
    assert.equal(pids().length, 5);
    const reading = (async () => {
      for await (const event of watch) {
        if (event.type === "fork") found.add(event.pid);
      }
    })();
    await eventually("the orphans", () => pids().every((pid) => found.has(pid)));
    assert(watch.stats().lost > 0);
    for (const pid of pids()) process.kill(pid, "SIGKILL");
    leader.stdin.end();
    watch.close();
    await reading;
  } finally {
    watch.close();
    leader.kill("SIGKILL");
  }
});
