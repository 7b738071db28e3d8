import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { openMachine } from "../../ffi/open.ts";
import { ProcessGoneError } from "../../lib/process/gone_error.ts";
import { ProcFs } from "../../lib/process/proc_fs.ts";
import { waitForExit } from "../../lib/process/wait_for_exit.ts";
import { whyNoEvents } from "../process/kernel.ts";

const skip = await whyNoEvents();

test("waitForExit() gives a child's code", { skip }, async () => {
  const child = spawn("/bin/sh", ["-c", "read line; exit 3"], { stdio: ["pipe", "ignore", "ignore"] });
  const status = waitForExit(child.pid!);
  setTimeout(() => child.stdin.end("\n"), 20);
  assert.deepEqual(await status, { exitCode: 3, signal: null, coreDumped: false });
});

test(
  "waitForExit() gives the signal that ended a process which is nobody's child here",
  { skip },
  async () => {
    // The shell leaves its background process behind.
    const shell = spawn("/bin/sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"]);
    const [line] = await once(shell.stdout, "data") as [Buffer];
    const pid = Number(line.toString());
    const status = waitForExit(pid);
    setTimeout(() => process.kill(pid, "SIGKILL"), 20);
    assert.deepEqual(await status, { exitCode: null, signal: "SIGKILL", coreDumped: false });
  },
);

test("waitForExit() waits for the last thread of a program with many", { skip }, async () => {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => process.exit(7), 300)"], {
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  assert.deepEqual(await waitForExit(child.pid!), { exitCode: 7, signal: null, coreDumped: false });
  assert.deepEqual(await exited, [7, null]);
});

test("waitForExit() of many at once", { skip }, async () => {
  const waits = [];
  for (let code = 0; code < 20; code++) {
    const child = spawn("/bin/sh", ["-c", `read line; exit ${code}`], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    waits.push(waitForExit(child.pid!));
    setTimeout(() => child.stdin.end("\n"), 50);
  }
  const codes = (await Promise.all(waits)).map((status) => status.exitCode);
  assert.deepEqual(codes, Array.from({ length: 20 }, (_, code) => code));
});

test("waitForExit() of what is gone, and of what is none", async () => {
  const child = spawn("/bin/sh", ["-c", "exit 0"], { stdio: "ignore" });
  await once(child, "exit");
  const procFs = new ProcFs((await openMachine("test")).libc);
  if (procFs.stat(child.pid!) === undefined) {
    await assert.rejects(
      waitForExit(child.pid!),
      (error) => error instanceof ProcessGoneError && error.reason === "absent",
    );
  }
  await assert.rejects(waitForExit(process.pid), TypeError);
  await assert.rejects(waitForExit(-1), TypeError);
});

test("waitForExit() of a zombie says so", { skip: existsSync("/bin/sh") ? skip : "no shell" }, async () => {
  // exec keeps the shell's child and never waits for it; the shell itself might, so the child ends later.
  const parent = spawn("/bin/sh", ["-c", "sh -c 'sleep 0.3; exit 5' & echo $!; exec sleep 60"]);
  const [line] = await once(parent.stdout, "data") as [Buffer];
  const pid = Number(line.toString());
  const procFs = new ProcFs((await openMachine("test")).libc);
  const deadline = Date.now() + 10_000;
  while (procFs.stat(pid)?.state !== "Z" && Date.now() < deadline) {
    await new Promise((done) => setTimeout(done, 5));
  }
  try {
    await assert.rejects(
      waitForExit(pid),
      (error) => error instanceof ProcessGoneError && error.reason === "zombie",
    );
  } finally {
    parent.kill("SIGKILL");
  }
});

test("waitForExit() ends with the signal's reason", { skip }, async () => {
  const child = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  try {
    const reason = new Error("enough");
    const controller = new AbortController();
    const status = waitForExit(child.pid!, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 30);
    await assert.rejects(status, (error) => error === reason);
  } finally {
    child.kill("SIGKILL");
  }
});
