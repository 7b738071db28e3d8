import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { shellStatus } from "../../lib/processes/exit_status.ts";
import { waitForStart } from "../../mod.ts";
import { buildC } from "../support/c_program.ts";
import { cnctl, end, LIMIT_MS } from "../support/cnctl.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { Waits } from "./waits.ts";

const skip = await whyNoProcessEvents();
const built = buildC("tests/kernel/programs/waits.c");
const skipC = "missing" in built && built.missing;
const program = "path" in built ? built.path : "";

/** Programs that nobody else runs, by names of their own. */
const folder = mkdtempSync(join(tmpdir(), "cnctl-wait-"));
after(() => rmSync(folder, { recursive: true }));
let copies = 0;
function ownProgram(source: string): { readonly name: string; readonly path: string } {
  const name = `w${process.pid}-${copies++}`;
  copyFileSync(source, join(folder, name));
  return { name, path: join(folder, name) };
}

/** Whether the command has a connector socket. It subscribes in the same turn, and knows its processes before that. */
function isListening(pid: number): boolean {
  const sockets = readFileSync("/proc/net/netlink", "utf8").split("\n").map((line) =>
    line.trim().split(/\s+/)
  );
  const inodes = new Set(sockets.filter(([, protocol]) => protocol === "11").map((fields) => fields.at(-1)));
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      const link = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`));
      return link !== null && inodes.has(link[1]);
    });
  } catch {
    return false; // a descriptor was closed meanwhile
  }
}

/** Several of 1,000 processes: eight ways to end, all codes, and signals. */
const COUNT = Number(process.env.WAIT_PROCESSES ?? 200);

test("cnctl wait --print says of each process what its parent gets from waitpid()", {
  skip: skip || skipC,
}, async () => {
  using all = new Waits(program, () => {}, String(COUNT));
  await eventually("the processes", () => all.pids.length === COUNT, LIMIT_MS);
  const run = cnctl(["wait", "--print", ...all.pids.map(String)]);
  await eventually("the subscription", () => isListening(run.child.pid!), LIMIT_MS);
  all.go();
  const status = await run.ended;
  await all.collect();
  const said = new Map(
    run.said.out.trimEnd().split("\n").map((line) => {
      const [, pid, end] = /^(\d+) (\d+|SIG\S+(?: core)?) \S+$/.exec(line) ?? assert.fail(line);
      return [Number(pid), end];
    }),
  );
  const truth = new Map(all.pids.map((pid) => {
    const { exitCode, signal } = all.truth.get(pid)!;
    return [pid, signal ?? String(exitCode)];
  }));
  assert.deepEqual(new Map([...said].sort()), new Map([...truth].sort()));
  assert.notEqual(status, 0);
  assert.equal(run.said.error, "");
});

test("cnctl wait has the exit status of the process", { skip }, async () => {
  const ends = [["exit 0", 0], ["exit 3", 3], ["exit 255", 255], ["kill -TERM $$", 143], [
    "kill -KILL $$",
    137,
  ]];
  await Promise.all(ends.map(async ([script, status]) => {
    const child = spawn("/bin/sh", ["-c", `read line; ${script}`], { stdio: ["pipe", "ignore", "ignore"] });
    const run = cnctl(["wait", String(child.pid)]);
    await eventually("the subscription", () => isListening(run.child.pid!), LIMIT_MS);
    child.stdin.end("\n");
    assert.equal(await run.ended, status, `${script}: ${run.said.error}`);
  }));
});

test("cnctl wait: of several the first failure, with --any the first end", { skip }, async () => {
  const children = ["exit 0", "exit 4", "exit 5"].map((script) =>
    spawn("/bin/sh", ["-c", `read line; ${script}`], { stdio: ["pipe", "ignore", "ignore"] })
  );
  const pids = children.map(({ pid }) => String(pid));
  const [all, any] = [cnctl(["wait", "--print", ...pids]), cnctl(["wait", "--any", "--print", ...pids])];
  for (const run of [all, any]) await eventually("it listens", () => isListening(run.child.pid!), LIMIT_MS);
  for (const [i, child] of children.entries()) {
    child.stdin.end("\n");
    // The kernel sends the event after others can see the end: the next process may not overtake it.
    await eventually("its line", () => all.said.out.includes(`${pids[i]} ${[0, 4, 5][i]} sh\n`), LIMIT_MS);
    if (i === 0) assert.equal(await any.ended, 0);
  }
  assert.equal(await all.ended, 4);
  assert.equal(any.said.out, `${pids[0]} 0 sh\n`);
});

test("cnctl wait: gone, out of time, interrupted", { skip }, async () => {
  const child = spawn("/bin/true");
  await new Promise((resolve) => child.on("exit", resolve));
  const gone = String(child.pid);
  const [refused, fine] = [cnctl(["wait", "1", gone]), cnctl(["wait", "--gone-ok", "--print", gone])];
  assert.equal(await refused.ended, 125);
  assert.match(
    refused.said.error,
    new RegExp(`^cnctl: Cannot wait for process ${gone}: there is no such process`),
  );
  assert.equal(await fine.ended, 0);
  assert.equal(fine.said.out, `${gone} gone\n`);
  const late = cnctl(["wait", "--timeout", "0.2", "1"]);
  assert.equal(await late.ended, 124);
  assert.equal(late.said.error, "cnctl: waited 0.2 s for 1 to exit in vain\n");
  const run = cnctl(["wait", "1"]);
  await eventually("the subscription", () => isListening(run.child.pid!), LIMIT_MS);
  end(run, "SIGTERM");
  assert.equal(await run.ended, 143);
});

test("cnctl wait --name: a name that does not exist yet", { skip }, async () => {
  const shell = ownProgram("/bin/sh");
  const run = cnctl(["wait", "--print", "--name", `${shell.name.slice(0, -1)}?`]);
  let over = false;
  void run.ended.then(() => over = true);
  const pids: number[] = [];
  while (!over) {
    // A fork of it, and another program in its place: the process stays the same.
    const child = spawn(shell.path, ["-c", "(exit 9); sleep 0.1; exec /bin/sh -c 'exit 6'"]);
    pids.push(child.pid!);
    await new Promise((resolve) => child.on("exit", resolve));
  }
  assert.equal(await run.ended, 6, run.said.error);
  const [, pid] = /^(\d+) 6 sh\n$/.exec(run.said.out) ?? assert.fail(run.said.out);
  assert(pids.includes(Number(pid)));
});

test("cnctl wait --for start: one of each, whether it runs already or starts", { skip }, async () => {
  const [one, two] = [ownProgram("/bin/sleep"), ownProgram("/bin/sleep")];
  const child = spawn(one.path, ["60"]);
  assert.equal((await waitForStart({ name: one.name })).pid, child.pid);
  const run = cnctl(["wait", "--for", "start", "--print", "--name", one.name, "--name", two.name]);
  await eventually("the first", () => run.said.out.includes("\n"), LIMIT_MS);
  const other = spawn(two.path, ["60"]);
  try {
    assert.equal(await run.ended, 0);
    assert.equal(run.said.out, `${child.pid} ${one.name}\n${other.pid} ${two.name}\n`);
  } finally {
    for (const its of [child, other]) process.kill(its.pid!, "SIGKILL");
  }
});

test("waitForStart() is aborted by its signal", { skip }, async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const started = waitForStart({ name: `none-${process.pid}` }, { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(started, (error) => error === reason);
});

test("shellStatus(): codes, signals, and what is not known", () => {
  const status = (exitCode: number | null, signal: string | null = null): number | undefined =>
    shellStatus({ exitCode, signal, coreDumped: false });
  assert.deepEqual(
    [status(0), status(255), status(null, "SIGHUP"), status(null, "SIGRTMIN+3"), status(null)],
    [
      0,
      255,
      129,
      165,
      undefined,
    ],
  );
});
