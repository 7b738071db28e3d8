import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import type { ProcessInfo } from "../../lib/processes/info.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { WatchProcessesOptions } from "../../lib/processes/options.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { command, root as folderOfAll, runtime } from "../support/runtimes.ts";
import { whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();
const root = process.getuid!() === 0;

/** What is known at the first matching event of a program that starts once the watch is open. */
async function first(
  options: WatchProcessesOptions,
  start: () => ChildProcess | undefined,
  wanted: (event: ProcessEvent, child: ChildProcess | undefined) => boolean,
): Promise<ProcessInfo> {
  await using watch = openProcessWatch(await openSystem("test"), {
    ...options,
    signal: AbortSignal.timeout(30_000),
  });
  const child = start();
  try {
    for await (const event of watch) {
      if (event.type !== "lost" && event.process !== undefined && wanted(event, child)) return event.process;
    }
    throw new Error("The watch has ended");
  } finally {
    child?.stdin?.end();
    child?.kill("SIGKILL");
  }
}

const execOf = (event: ProcessEvent, child: ChildProcess | undefined): boolean =>
  event.type === "exec" && event.pid === child?.pid && event.process?.commandLine !== undefined;

test("exec and exit have the parent's name, even if only the child is selected", { skip }, async () => {
  const info = await first(
    { comm: "cat", exits: "failed" },
    () => spawn("/bin/sh", ["-c", "exec 3<&0; cat <&3 & wait"]),
    ({ type, process: info }, child) => type === "exec" && info?.parentPid === child!.pid,
  );
  assert.deepEqual([info.comm, info.parentComm], ["cat", "sh"]);
});

test(
  "the working directory, the terminal and the login user, on request",
  { skip },
  async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), "fields-")));
    try {
      const fields = ["commandLine", "cwd", "terminal", "loginUid", "sessionId"] as const;
      const info = await first(
        { processInfo: { fields } },
        () => spawn("/bin/sleep", ["60"], { stdio: "ignore", cwd: folder, detached: true }),
        execOf,
      );
      assert.equal(info.cwd, folder);
      assert.equal(info.terminal, null, "a new session has none");
      const audit = existsSync("/proc/self/loginuid")
        ? Number(readFileSync("/proc/self/loginuid", "utf8"))
        : undefined;
      assert.equal(info.loginUid, audit === 0xffff_ffff ? null : audit);
      assert.equal(info.exe, undefined, "not asked for");
      const plain = await first({ processInfo: true }, () => spawn("/bin/sleep", ["60"]), execOf);
      assert.equal("cwd" in plain || "terminal" in plain, false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

const python = spawnSync("python3", ["--version"]).status === 0;

test("a program on a terminal, as script(1) or sshd start it", {
  skip: skip || (python ? false : "wants python3"),
}, async () => {
  const info = await first(
    { processInfo: { fields: ["commandLine", "terminal"] } },
    () => spawn("python3", ["-c", `import pty; pty.spawn(["/bin/cat"])`]),
    ({ type, process: info }, child) =>
      type === "exec" && info?.parentPid === child!.pid && info?.commandLine?.[0] === "/bin/cat",
  );
  assert.match(info.terminal!, /^pts\/\d+$/);
});

test("the login user stays the same when the process changes its user", {
  skip: skip ||
    (root && python && existsSync("/proc/self/loginuid") ? false : "wants root, python3 and audit"),
}, async () => {
  const script = `
import os
open("/proc/self/loginuid", "w").write("4711")
os.setuid(65534)
os.execv("/bin/sleep", ["sleep", "60"])`;
  const info = await first(
    { processInfo: { fields: ["commandLine", "user", "loginUid", "sessionId"] } },
    () => spawn("python3", ["-c", script]),
    (event, child) => execOf(event, child) && event.type === "exec" && event.process?.comm === "sleep",
  );
  assert.deepEqual([info.uid, info.loginUid, typeof info.sessionId], [65534, 4711, "number"]);
});

test("a program started without any arguments has none", {
  skip: skip || (python ? false : "wants python3"),
}, async () => {
  const script = `
import ctypes
none = (ctypes.c_char_p * 1)(None)
ctypes.CDLL(None).execve(b"/bin/cat", none, none)`;
  const info = await first(
    { processInfo: { fields: ["commandLine"] } },
    () => spawn("python3", ["-c", script]),
    (event, child) => execOf(event, child) && event.type === "exec" && event.process?.comm === "cat",
  );
  assert.deepEqual([info.commandLine, info.unknownBecause], [[], undefined]);
});

test("an empty last argument of a new program is kept", { skip }, async () => {
  const info = await first({ processInfo: true }, () => spawn("/bin/cat", ["-", ""]), execOf);
  assert.deepEqual(info.commandLine, ["/bin/cat", "-", ""]);
  const single = await first(
    { processInfo: true },
    () => spawn("/bin/sh", ["-c", "sleep 0.1; exec yes ''"]),
    (event, child) => execOf(event, child) && event.type === "exec" && event.process?.comm === "yes",
  );
  assert.deepEqual(single.commandLine, ["yes", ""]);
});

test("a title that a program writes over its arguments replaces all of them", {
  skip: skip || (python ? false : "wants python3"),
}, async () => {
  // As setproctitle(3) does; the last four bytes of the old arguments are cleared.
  const script = `
import ctypes
stat = open("/proc/self/stat").read().rsplit(")", 1)[1].split()
start, length = int(stat[45]), int(stat[46]) - int(stat[45])
ctypes.memset(start, 0, length)
ctypes.memmove(start, b"t" * (length - 4), length - 4)
print("ready", flush=True)
input()`;
  const child = spawn("python3", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
  try {
    await new Promise((resolve) => child.stdout!.once("data", resolve));
    await using watch = openProcessWatch(await openSystem("test"), { pids: [child.pid!], snapshot: true });
    const { value } = await watch.next();
    assert(value !== undefined && value.type === "fork");
    assert.equal(value.process!.commandLine!.length, 1);
    assert.match(value.process!.commandLine![0]!, /^t+$/);
  } finally {
    child.kill("SIGKILL");
  }
});

const loops = root && existsSync("/dev/loop-control") &&
  ["mkfs.ext4", "unshare"].every((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0);

test("a new kernel thread gets its name", {
  skip: skip || (loops ? false : "wants root, a loop device and mkfs.ext4"),
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "kthread-"));
  try {
    const image = join(folder, "image");
    assert.equal(spawnSync("sh", ["-c", `truncate -s 8M ${image} && mkfs.ext4 -q ${image}`]).status, 0);
    await using watch = openProcessWatch(await openSystem("test"), {
      processInfo: true,
      signal: AbortSignal.timeout(30_000),
    });
    // In its own mount namespace, which ends with the process.
    const mount = `mount -o loop ${image} /mnt && echo mounted && read x; umount /mnt`;
    const child = spawn("unshare", ["-m", "sh", "-c", mount]);
    let marker: number | undefined;
    child.stdout.once("data", () => marker = spawn("/bin/true").pid);
    let info: ProcessInfo | undefined;
    for await (const event of watch) {
      // Everything before has been processed: the threads may end.
      if (event.type === "exec" && event.pid === marker) child.stdin.end();
      if (event.type !== "exit" || !/^jbd2\/loop/.test(event.process?.comm ?? "")) continue;
      info = event.process!;
      break;
    }
    assert(info !== undefined);
    assert.deepEqual([info.kernelThread, info.parentComm], [true, "kthreadd"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("cnctl watch --fields writes these fields of each process", { skip }, async () => {
  const [program, ...before] = command(runtime, join(folderOfAll, "lib/cli/main.ts"));
  const child = spawn("/bin/sh", ["-c", "while read x; do /bin/true; done"], {
    cwd: "/",
    stdio: ["pipe", "ignore", "ignore"],
  });
  const args = ["watch", "--fields", "cwd,LOGINUID", "-p", String(child.pid), "--events", "fork"];
  const run = spawn(program!, [...before, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  // With --json only the first line shows that the watch is open; then the child ends, and the watch with it.
  const timer = setInterval(() => child.stdin!.write("x\n"), 50);
  let out = "";
  for await (const text of run.stdout!.setEncoding("utf8")) {
    out += text;
    if (!out.includes("\n")) continue;
    clearInterval(timer);
    child.stdin!.end();
  }
  const { process: info } = JSON.parse(out.slice(0, out.indexOf("\n")));
  assert.equal(info.cwd, "/");
  assert.equal("loginUid" in info, true);
  assert.deepEqual(["terminal" in info, info.commandLine, info.exe], [false, null, null]);
  const wrong = spawnSync(program!, [...before, "watch", "--fields", "environ"], { encoding: "utf8" });
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /Choose from commandLine, exe, user, cgroup, cwd/);
});
