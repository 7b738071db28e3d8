import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { ProcessGoneError } from "../../lib/errors/process_gone_error.ts";
import { ProcFs } from "../../lib/procfs/process.ts";
import { type ExitStatus, waitForExit } from "../../lib/processes/wait_for_exit.ts";
import { monotonicNs } from "../../lib/procfs/clock.ts";
import { whyNoEvents } from "../processes/kernel.ts";
import { buildC } from "../support/c_program.ts";
import { eventually } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { Waits } from "./waits.ts";

const skip = await whyNoEvents();
const built = buildC("tests/kernel/programs/waits.c");
const skipC = "missing" in built && built.missing;
const program = "path" in built ? built.path : "";

test("waitForExit() returns the exit code of a child", { skip }, async () => {
  const child = spawn("/bin/sh", ["-c", "read line; exit 3"], { stdio: ["pipe", "ignore", "ignore"] });
  const status = waitForExit(child.pid!);
  setTimeout(() => child.stdin.end("\n"), 20);
  assert.deepEqual(await status, { exitCode: 3, signal: null, coreDumped: false });
});

test(
  "waitForExit() returns the signal that ended a process that is not a child",
  { skip },
  async () => {
    // The background process outlives the shell.
    const shell = spawn("/bin/sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"]);
    const [line] = await once(shell.stdout, "data") as [Buffer];
    const pid = Number(line.toString());
    const status = waitForExit(pid);
    setTimeout(() => process.kill(pid, "SIGKILL"), 20);
    assert.deepEqual(await status, { exitCode: null, signal: "SIGKILL", coreDumped: false });
  },
);

test("waitForExit() waits for the last thread of a process", { skip }, async () => {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => process.exit(7), 300)"], {
    stdio: "ignore",
  });
  const exited = once(child, "exit");
  assert.deepEqual(await waitForExit(child.pid!), { exitCode: 7, signal: null, coreDumped: false });
  assert.deepEqual(await exited, [7, null]);
});

test("waitForExit() for many processes at once", { skip }, async () => {
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

test(
  "waitForExit() subscribes before it returns: what the caller then does to the process is seen",
  { skip },
  async () => {
    for (let i = 0; i < 20; i++) {
      const child = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
      const gone = waitForExit(child.pid!);
      process.kill(child.pid!, "SIGTERM");
      assert.deepEqual(await gone, { exitCode: null, signal: "SIGTERM", coreDumped: false });
    }
  },
);

test("waitForExit() as the first call in a program", { skip }, () => {
  for (let i = 0; i < 5; i++) {
    const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/waits_first.ts"));
    const { stdout, stderr } = spawnSync(file!, args, { encoding: "utf8" });
    assert.equal(stdout, '{"exitCode":null,"signal":"SIGTERM","coreDumped":false}\n', stderr);
  }
});

test("waitForExit() rejects for a process that has ended, for this process, and for an invalid pid", async () => {
  const child = spawn("/bin/sh", ["-c", "exit 0"], { stdio: "ignore" });
  await once(child, "exit");
  const procFs = new ProcFs(openSystem("test").libc);
  if (procFs.stat(child.pid!) === undefined) {
    await assert.rejects(waitForExit(child.pid!), ProcessGoneError);
  }
  await assert.rejects(waitForExit(process.pid), TypeError);
  await assert.rejects(waitForExit(-1), RangeError);
});

/** 200 processes: eight ways to end, with the codes and signals of each. */
const COUNT = 200;

test("waitForExit() for 200 processes that end in every way", { skip: skip || skipC }, async () => {
  const waits: Promise<ExitStatus>[] = [];
  using all = new Waits(program, (pid) => waits.push(waitForExit(pid)), String(COUNT));
  await eventually("the processes", () => waits.length === COUNT, 60_000);
  all.go();
  const seen = await Promise.all(waits);
  await all.collect();
  assert.deepEqual(seen, all.pids.map((pid) => all.truth.get(pid)));
});

test("waitForExit() for 200 processes with one subscription", { skip: skip || skipC }, async () => {
  using all = new Waits(program, () => {}, String(COUNT));
  await eventually("the processes", () => all.pids.length === COUNT, 60_000);
  const waits = waitForExit(all.pids);
  all.go();
  const seen = await Promise.all(waits);
  await all.collect();
  assert.deepEqual(seen, all.pids.map((pid) => all.truth.get(pid)));
});

test("waitForExit() for zombies that their parent has not reaped", { skip: skip || skipC }, async () => {
  const waits: Promise<ExitStatus>[] = [];
  using all = new Waits(program, (pid) => waits.push(waitForExit(pid)), "zombies", String(COUNT));
  await eventually("the processes", () => waits.length === COUNT, 60_000);
  const seen = await Promise.all(waits);
  await all.collect();
  assert.deepEqual(seen, all.pids.map((pid) => all.truth.get(pid)));
});

test("waitForExit() for processes that are about to end: an error only if they were reaped before", {
  skip: skip || skipC,
}, async () => {
  const { libc } = openSystem("test");
  const asked = new Map<number, { readonly ns: bigint; readonly end: Promise<ExitStatus | Error> }>();
  using all = new Waits(
    program,
    (pid) => {
      const end = waitForExit(pid).catch((error: Error) => error);
      asked.set(pid, { ns: monotonicNs(libc), end });
      all.go();
    },
    "racing",
    String(COUNT),
  );
  await all.ended;
  for (const [i, [pid, { ns, end }]] of [...asked].entries()) {
    const seen = await end;
    if (i % 2 === 0 || !(seen instanceof Error || seen.unknownBecause !== undefined)) {
      assert.deepEqual(seen, all.truth.get(pid));
    } else if (seen instanceof Error) {
      assert(seen instanceof ProcessGoneError, String(seen));
      assert(ns > all.collected.get(pid)!.from, `${pid} was there`);
    } else {
      assert.equal(seen.unknownBecause, "gone");
    }
  }
  assert.equal(asked.size, COUNT);
});

test("waitForExit() for another user's zombie reports an unknown status", {
  skip: skip || skipC || (process.getuid?.() !== 0 && "needs root"),
}, async () => {
  using all = new Waits(program, () => {}, "zombies", "3");
  await eventually("the processes", () => all.pids.length === 3, 60_000);
  const [file, ...args] = command(runtime, join(root, "tests/kernel/programs/waits_first.ts"));
  const nobody = ["--reuid=65534", "--clear-groups", "--", file!, ...args];
  const { stdout, stderr } = spawnSync("setpriv", [...nobody, ...all.pids.map(String)], { encoding: "utf8" });
  await all.collect();
  const refused = '{"exitCode":null,"signal":null,"coreDumped":false,"unknownBecause":"refused"}\n';
  assert.equal(stdout, refused.repeat(3), stderr);
});

test("waitForExit() rejects with the signal's reason", { skip }, async () => {
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
