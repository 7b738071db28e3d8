import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { cnctl, end, LIMIT_MS } from "../support/cnctl.ts";
import { eventually, unifiedHierarchy, whyNoProcessEvents } from "../support/kernel.ts";
import { findProgram } from "../support/programs.ts";
import { commandOf, despiteLosses, readTrace, recorded } from "../support/recordings.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { Tmux, whyNoTmux } from "../support/tmux.ts";

const skip = await whyNoProcessEvents();
const folder = mkdtempSync(join(tmpdir(), "trace-modes-"));
after(() => rmSync(folder, { recursive: true }));
chmodSync(folder, 0o755);

/** More than the commands of these tests ever take; they are ended before. */
const LONG_S = "300";

test("--pid follows a running tree until all of it has ended", { skip }, async () => {
  const file = join(folder, "pid");
  await despiteLosses(file, async () => {
    const script = `sleep ${LONG_S} & read -r go; /bin/true; kill $!; wait $!; exit 4`;
    const shell = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "ignore", "ignore"] });
    const run = cnctl(["trace", "--pid", String(shell.pid), "-o", file]);
    await recorded(file, `["sleep","${LONG_S}"]`);
    shell.stdin.end("go\n");
    assert.equal(await run.ended, 0, run.said.error);
    const { header, processes, complete } = readTrace(file);
    assert.deepEqual([header.pid, header.command, complete], [shell.pid, [], true]);
    const [root, sleep, truth] = ["/bin/sh -c", "sleep", "/bin/true"].map((start) =>
      processes.find((process) => commandOf(process).startsWith(start))!
    );
    assert.deepEqual([root!.startUnknown, sleep!.startUnknown, truth!.startUnknown], [true, true, false]);
    assert.deepEqual([root!.exitCode, sleep!.signal, truth!.exitCode], [4, "SIGTERM", 0]);
    assert.deepEqual([sleep!.parent, truth!.parent], [root, root]);
    assert.equal(root!.images.length, 1);
    assert(
      run.said.error.includes(`process ${shell.pid} and its descendants: 3 processes in `),
      run.said.error,
    );
  });
});

const hierarchy = unifiedHierarchy();
const noGroups = skip !== false
  ? skip
  : (process.getuid?.() !== 0 || hierarchy === undefined) && "wants root and the unified hierarchy";

test(
  "--cgroup has what runs in a group, what it starts there, and nothing else",
  { skip: noGroups },
  async () => {
    const [name, file] = [`kernel-connector-trace-${process.pid}`, join(folder, "cgroup")];
    const group = join(hierarchy!, name);
    mkdirSync(group);
    try {
      await despiteLosses(file, async () => {
        const script = `echo $$ > ${join(group, "cgroup.procs")}; echo in; read -r go; /bin/true; exit 4`;
        const shell = spawn("/bin/sh", ["-c", script], { stdio: ["pipe", "pipe", "ignore"] });
        const ended = once(shell, "close");
        await once(shell.stdout, "data");
        const run = cnctl(["trace", "--cgroup", name, "-o", file]);
        await recorded(file, `"pid":${shell.pid}`);
        shell.stdin.end("go\n");
        await ended;
        await recorded(file, '"exitCode":4');
        end(run, "SIGINT");
        assert.equal(await run.ended, 0, run.said.error);
        assert.match(run.said.error, new RegExp(`^control group ${name}: 2 processes in `, "m"));
        const { header, processes } = readTrace(file);
        assert.equal(header.cgroup, name);
        const [first, second] = processes;
        assert.deepEqual([first!.pid, first!.startUnknown, first!.exitCode], [shell.pid, true, 4]);
        assert.deepEqual([commandOf(second!), second!.parent, second!.exitCode], ["/bin/true", first, 0]);
      });
    } finally {
      // The kernel may still have the last process in it for a moment.
      await eventually("an empty group", () => {
        try {
          rmdirSync(group);
          return true;
        } catch {
          return false;
        }
      });
    }
    const none = cnctl(["trace", "--cgroup", name, "--seconds", "0.1"]);
    assert.equal(await none.ended, 0);
    assert(none.said.error.includes(`cnctl: there is no control group named ${name} now\n`), none.said.error);
  },
);

test("--live says on the terminal how it gets on, and leaves nothing there", {
  skip: skip !== false ? skip : whyNoTmux(),
}, async () => {
  // Not read from the terminal, which would echo it.
  const fifo = join(folder, "fifo");
  assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
  const traced = `/bin/sh -c '/bin/false; read -r go < ${fifo}; exit 4'`;
  const words = command(runtime, join(root, "lib/cli/main.ts")).map((word) => `'${word}'`).join(" ");
  using terminal = new Tmux(`${words} trace --live --report none -- ${traced}; echo "[$?]"`, 80, 24);
  await terminal.shows(/^cnctl: \d+ s: 2 processes, 1 running, 1 failed$/m);
  writeFileSync(fifo, "go\n");
  await terminal.shows(/^\[4\]$/m);
  assert.equal(terminal.lines().join("\n").trim(), "[4]");
  const run = cnctl(["trace", "--live", "--report", "none", "--", "/bin/true"]);
  assert.equal(await run.ended, 0);
  assert.equal(run.said.error, "cnctl: --live shows nothing: standard error is not a terminal\n");
});

test("Ctrl-C ends the trace of what was running, and --seconds as well", { skip }, async () => {
  const file = join(folder, "interrupted");
  await despiteLosses(file, async () => {
    const sleep = spawn("sleep", [LONG_S]);
    try {
      const run = cnctl(["trace", "--pid", String(sleep.pid), "-o", file]);
      await recorded(file, '"exec"');
      end(run, "SIGINT");
      assert.equal(await run.ended, 0);
      assert.deepEqual(readTrace(file).processes.map(({ running }) => running), [true]);
      const timed = cnctl(["trace", "--all", "--seconds", "0.2", "-o", file]);
      assert.equal(await timed.ended, 0, timed.said.error);
      const { processes, complete, durationNs } = readTrace(file);
      assert(processes.some(({ pid }) => pid === sleep.pid));
      assert(complete && durationNs >= 200_000_000, String(durationNs));
      assert.match(timed.said.error, /^all processes: /m);
    } finally {
      process.kill(sleep.pid!, "SIGKILL");
    }
  });
});

test("after the command has ended, a signal ends the waiting of --wait", { skip }, async () => {
  const file = join(folder, "left");
  await despiteLosses(file, async () => {
    const run = cnctl(["trace", "--wait", "-o", file, "--", "/bin/sh", "-c", `sleep ${LONG_S} >&2 & exit 6`]);
    await recorded(file, '"exitCode":6');
    end(run, "SIGTERM");
    await eventually("the report", () => run.said.error.includes("still running"), LIMIT_MS);
    const { processes } = readTrace(file);
    const sleep = processes.find((process) => commandOf(process).startsWith("sleep"))!;
    assert.equal(sleep.running, true);
    process.kill(sleep.pid, "SIGKILL");
    assert.equal(await run.ended, 6);
  });
});

test("a signal that is sent to cnctl alone reaches the command", { skip }, async () => {
  const run = cnctl([
    "trace",
    "--",
    "/bin/sh",
    "-c",
    "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done",
  ]);
  await eventually("the command runs", () => run.said.out !== "", LIMIT_MS);
  end(run, "SIGINT");
  assert.equal(await run.ended, 9, run.said.error);
});

test("SIGKILL leaves the command running, and a recording that can be read", { skip }, async () => {
  const file = join(folder, "killed");
  await despiteLosses(file, async () => {
    const run = cnctl([
      "trace",
      "-o",
      file,
      "--",
      "/bin/sh",
      "-c",
      `/bin/true; exec sleep ${LONG_S} > /dev/null 2>&1`,
    ]);
    await recorded(file, `["sleep","${LONG_S}"]`);
    process.kill(run.child.pid!, "SIGKILL");
    await run.ended;
    const { processes, complete } = readTrace(file);
    assert.equal(complete, false);
    assert(processes.some((process) => commandOf(process) === "/bin/true" && process.exitCode === 0));
    process.kill(processes[0]!.pid, "SIGKILL"); // throws if it does not live any more
    const report = cnctl(["report", file]);
    assert.equal(await report.ended, 0);
    assert.match(report.said.out, /The recording was cut/);
  });
});

test("--redact hides secrets in the recording and the report", { skip }, async () => {
  const file = join(folder, "redacted");
  await despiteLosses(file, async () => {
    const script = "exit 3 # --password=hunter2 https://u:hunter2@example.org";
    const run = cnctl(["trace", "--redact", "-o", file, "--", "/bin/sh", "-c", script, "--token", "hunter2"]);
    assert.equal(await run.ended, 3);
    for (const text of [run.said.error, readFileSync(file, "utf8")]) {
      assert(!text.includes("hunter2"), text);
      assert(text.includes("--password=[hidden]"), text);
    }
  });
});

const noUser = skip !== false
  ? skip
  : process.getuid?.() !== 0
  ? "needs root"
  : findProgram("setpriv") === undefined && "setpriv is not installed (Debian: util-linux)";

test("--user runs the command as a user with the user's groups", { skip: noUser }, async () => {
  const { stdout: expected } = spawnSync("setpriv", [
    "--reuid=nobody",
    "--regid=65534",
    "--init-groups",
    "id",
  ], {
    encoding: "utf8",
  });
  const file = join(folder, "user");
  const run = cnctl([
    "trace",
    "--user",
    "nobody",
    "-o",
    file,
    "--",
    "/bin/sh",
    "-c",
    "id; echo $HOME $USER; exit 3",
  ], {
    cwd: "/",
  });
  assert.equal(await run.ended, 3, run.said.error);
  const [id, variables] = run.said.out.split("\n");
  assert.equal(`${id}\n`, expected);
  assert.match(variables!, / nobody$/);
  const { processes } = readTrace(file);
  assert.equal(processes[0]!.images.at(-1)!.comm, "sh");
  assert.notEqual(processes[0]!.uid, 0);
  assert.equal(statSync(file).uid, 0);
  const missing = cnctl(["trace", "--user", "nobody", "--", "nosuchcommand"], { cwd: "/" });
  assert.equal(await missing.ended, 127, missing.said.error);
  const stranger = cnctl(["trace", "--user", "nosuchuser", "--", "true"]);
  assert.equal(await stranger.ended, 2);
  assert.match(stranger.said.error, /there is no such user in \/etc\/passwd/);
});

const mounts = (): boolean =>
  spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "none", folder], { stdio: "ignore" }).status === 0;
const noDisk = skip !== false ? skip : !mounts() && "tmpfs cannot be mounted here";

test("a full disk ends the recording with a message, and the command goes on", { skip: noDisk }, () => {
  const [disk, file, copy] = [join(folder, "disk"), join(folder, "disk/trace"), join(folder, "copy")];
  mkdirSync(disk);
  const [program, ...before] = command(runtime, join(root, "lib/cli/main.ts"));
  const script =
    `mount -t tmpfs -o size=8k none ${disk} && "$@"; status=$?; cp ${file} ${copy}; exit $status`;
  const many = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /bin/true $i; done; exit 4";
  const trace = [program!, ...before, "trace", "-o", file, "--", "/bin/sh", "-c", many];
  const child = spawnSync("unshare", ["-m", "/bin/sh", "-c", script, "sh", ...trace], { encoding: "utf8" });
  assert.equal(child.status, 4, child.stderr);
  assert(
    child.stderr.includes(`cnctl: Cannot write ${file} any more: ENOSPC; the command goes on`),
    child.stderr,
  );
  assert.match(child.stderr, /: 21 processes in .*exit status 4/);
  const { complete, processes } = readTrace(copy);
  assert.equal(complete, false);
  assert(processes.length > 1 && processes.length < 21, String(processes.length));
});

test("arguments that do not fit together are refused", { skip }, async () => {
  for (
    const [args, why] of [
      [[], /give a command, --pid, --cgroup or --all/],
      [["--all", "--pid", "1"], /--pid and --all cannot be used together/],
      [["--seconds", "1", "--", "true"], /--seconds is for/],
      [["--all", "--wait"], /--wait is for a command/],
      [["--all", "--user", "root"], /--user is for a command/],
      [["--report", "perfetto", "--", "true"], /--report perfetto requires --report-file/],
      [["--", ""], /the command is empty/],
    ] as const
  ) {
    const run = cnctl(["trace", ...args]);
    assert.equal(await run.ended, 2, args.join(" "));
    assert.match(run.said.error, why);
  }
});
