import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MachineTime } from "./machine_time.ts";

test("a process that sleeps is given all of the time that passes, and one that has ended, too", async () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const started = performance.now();
  const time = new MachineTime(child.pid!);
  await sleep(100);
  const seconds = time.seconds();
  const passed = (performance.now() - started) / 1000;
  child.kill("SIGKILL");
  await ended;
  assert(seconds >= 0 && seconds <= passed, `${seconds} of ${passed}`);
  assert(time.seconds() >= seconds);
});
