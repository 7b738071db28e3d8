import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { cnctl, end, LIMIT_MS, type Run } from "../support/cnctl.ts";
import { eventually, sleep, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();

/** Programs that nobody else runs, by names of their own. */
const folder = mkdtempSync(join(tmpdir(), "cnctl-on-"));
after(() => rmSync(folder, { recursive: true }));
let copies = 0;
function ownProgram(source: string): { readonly name: string; readonly path: string } {
  const name = `o${process.pid}-${copies++}`;
  copyFileSync(source, join(folder, name));
  return { name, path: join(folder, name) };
}

const TRIES = 20;
let runs: Run[] = [];

/** Whether events were lost, because other programs made so many: what was to be seen may be among them. */
function hasLost(run: Run): boolean {
  return run.said.error.includes(" were lost");
}

/** A test that is tried again if events were lost meanwhile, so that its outcome does not depend on other programs. */
function lossless(name: string, body: () => Promise<void>, reason: string | false = skip): void {
  test(name, { skip: reason }, async () => {
    for (let left = TRIES; left > 0; left--) {
      runs = [];
      try {
        return await body();
      } catch (error) {
        if (left === 1 || !runs.some(hasLost)) throw error;
      } finally {
        for (const { child } of runs) child.kill("SIGKILL");
      }
    }
  });
}

/** Runs the command, and resolves once it watches. */
async function on(...args: readonly string[]): Promise<Run> {
  const run = cnctl(["on", ...args]);
  runs.push(run);
  await eventually("the watch", () => run.said.error.includes("cnctl: watching for"), LIMIT_MS);
  return run;
}

/** Waits for what the command says if it has lost nothing. */
async function says(what: string, run: Run, holds: () => boolean): Promise<void> {
  await eventually(what, () => {
    if (holds()) return true;
    if (hasLost(run)) throw new Error(run.said.error);
    return false;
  }, LIMIT_MS);
}

/** Runs a program to its end, and returns its pid. */
async function play(file: string, ...args: readonly string[]): Promise<number> {
  const child = spawn(file, args, { stdio: "ignore" });
  await new Promise((resolve) => child.on("exit", resolve));
  return child.pid!;
}

async function lines(run: Run, count: number): Promise<string[]> {
  const said = (): string[] => run.said.out.split("\n").slice(0, -1);
  await says(`${count} lines`, run, () => said().length >= count);
  return said();
}

/** Ends it, and returns its last line. */
async function summary(run: Run): Promise<string> {
  end(run, "SIGTERM");
  assert.equal(await run.ended, 0, run.said.error);
  assert(!hasLost(run), run.said.error);
  return run.said.error.trimEnd().split("\n").at(-1)!.replace(/; \d+ more may match.*/, "");
}

lossless("cnctl on exit: placeholders and variables, without a shell", async () => {
  const { name, path } = ownProgram("/bin/sh");
  const print = 'printf "%s|" "$@" "$CNCTL_EVENT" "$CNCTL_PID" "$CNCTL_NAME" "$CNCTL_STATUS" "$CNCTL_USER" ' +
    '"$CNCTL_COMMAND_LINE" "$CNCTL_PARENTS"; echo';
  const run = await on(
    ...["exit", "--name", name, "--parents", "1", "--"],
    ...["/bin/sh", "-c", print, "x", "{pid} {status} {user} {commandLine} {other}", "{name}"],
  );
  const pid = await play(path, "-c", "exit 3", "$(touch /nowhere)", "a\x1b'b");
  const line = `${path} -c 'exit 3' '$(touch /nowhere)' $'a\\x1b\\'b'`;
  const [said] = await lines(run, 1);
  const parent = said!.split("|").at(-2)!;
  const user = said!.split("|")[6]!;
  assert.equal(
    said,
    `${pid} 3 ${user} ${line} {other}|${name}|exit|${pid}|${name}|3|${user}|${line}|${parent}|`,
  );
  assert.notEqual(parent, "");
  assert.equal(await summary(run), "cnctl: 1 run; none skipped");
  assert(run.said.error.includes(`cnctl: exit of ${pid} ${name}: running /bin/sh -c `), run.said.error);
});

lossless("cnctl on start: a fork starts nothing, and what the command starts is no match", async () => {
  const { name, path } = ownProgram("/bin/sh");
  // The command runs the very program that it waits for, in a session and with a parent of its own.
  const run = await on("start", "--name", name, "--", "/bin/sh", "-c", `echo {pid}; (setsid ${path} -c : &)`);
  const pids = [await play(path, "-c", "(:); (exit 3); :"), await play(path, "-c", ":")];
  await lines(run, 2);
  assert.equal(await summary(run), "cnctl: 2 runs; none skipped");
  assert.deepEqual(run.said.out, pids.map((pid) => `${pid}\n`).join(""));
});

lossless("cnctl on fail: codes and signals, not 0", async () => {
  const { name, path } = ownProgram("/bin/sh");
  const run = await on("fail", "--name", name, "--", "echo", "{status}");
  for (const script of ["exit 0", "exit 7", "kill -9 $$"]) await play(path, "-c", script);
  assert.deepEqual(await lines(run, 2), ["7", "137"]);
  assert.equal(await summary(run), "cnctl: 2 runs; none skipped");
});

lossless("cnctl on --first and --last: from none to one instance, and back", async () => {
  const { name, path } = ownProgram("/bin/sleep");
  const children = [spawn(path, ["60"])];
  const [first, last] = [
    await on("start", "--first", "--name", name, "--", "echo", "{pid}"),
    await on("exit", "--last", "--name", name, "--", "echo", "{pid}"),
  ];
  // One that is there already is the first.
  assert.deepEqual(await lines(first, 1), [String(children[0]!.pid)]);
  const watcher = await on("start", "--name", name, "--", "echo", "{pid}");
  children.push(spawn(path, ["60"]));
  await lines(watcher, 1);
  const kill = async (i: number): Promise<void> => {
    const exited = new Promise((resolve) => children[i]!.on("exit", resolve));
    process.kill(children[i]!.pid!, "SIGKILL");
    await exited;
  };
  await kill(0);
  await kill(1);
  assert.deepEqual(await lines(last, 1), [String(children[1]!.pid)]);
  children.push(spawn(path, ["60"]));
  assert.deepEqual(await lines(first, 2), [0, 2].map((i) => String(children[i]!.pid)));
  await kill(2);
  for (const run of [first, last]) assert.match(await summary(run), /^cnctl: [12] runs?; none skipped$/);
  await summary(watcher);
});

lossless("cnctl on --busy queue, skip and restart: what does not run is counted", async () => {
  const { name, path } = ownProgram("/bin/true");
  const runs = await Promise.all(
    ["queue", "skip", "restart"].map((busy) =>
      on("start", "--name", name, "--busy", busy, "--", "/bin/sh", "-c", "echo {pid}; exec sleep 0.3")
    ),
  );
  const pids: string[] = [];
  for (let i = 0; i < 4; i++) pids.push(String(await play(path)));
  const [queue, skipping, restart] = runs as [Run, Run, Run];
  assert.deepEqual(await lines(queue, 4), pids);
  await says("the last", restart, () => restart.said.out.includes(`${pids[3]}\n`));
  const texts = await Promise.all([queue, skipping, restart].map(summary));
  assert.equal(texts[0], "cnctl: 4 runs; none skipped");
  for (const text of texts) {
    const [, ran, skipped = 0] = /^cnctl: (\d) runs?; (?:none skipped|(\d) skipped: .+)$/.exec(text) ?? [];
    assert.equal(Number(ran) + Number(skipped), 4, text);
  }
});

/** `STARTS=1000` makes as many of them as fast as a shell can. */
const STARTS = Number(process.env.STARTS ?? 60);

test("cnctl on --busy: of a storm each start runs or is counted, and no run starts another", {
  skip,
}, async () => {
  await Promise.all(["queue", "skip", "restart"].map(async (busy) => {
    const { name, path } = ownProgram("/bin/true");
    // The command is the very program that it waits for.
    const run = await on("start", "--name", name, "--busy", busy, "--", path);
    await play("/bin/sh", "-c", `i=0; while [ $i -lt ${STARTS} ]; do ${path}; i=$((i + 1)); done`);
    // Once a later start runs, all before it have been judged.
    let starts = STARTS;
    for (let seen = false; !seen; starts++) {
      const pid = await play(path);
      const limitMs = performance.now() + 5000;
      while (!seen && performance.now() < limitMs) {
        await sleep(20);
        seen = run.said.error.includes(`: start of ${pid} `);
      }
      assert(starts < STARTS + 20, run.said.error);
    }
    const runs = run.said.error.match(/: running /g)!.length;
    end(run, "SIGTERM");
    assert.equal(await run.ended, 0, run.said.error);
    const text = run.said.error.trimEnd().split("\n").at(-1)!;
    const [, ran, skipped = "0", missed] =
      /^cnctl: (\d+) runs?; (?:none skipped|(\d+) skipped: [^;]+)(; .+)?$/.exec(text) ?? assert.fail(text);
    assert.equal(Number(ran), runs, text);
    // What other programs do may make the kernel drop events or records, which is said.
    const counted = Number(ran) + Number(skipped);
    assert(missed === undefined ? counted === starts : counted <= starts, `${starts} starts: ${text}`);
    if (busy === "queue") assert.equal(skipped, "0", text);
  }));
});

lossless("cnctl on --limit and --debounce count what they skip", async () => {
  const { name, path } = ownProgram("/bin/true");
  const limited = await on("start", "--name", name, "--limit", "1/s", "--", "echo", "{pid}");
  const debounced = await on("start", "--name", name, "--debounce", "2", "--", "echo", "{pid}");
  const began = performance.now();
  const pids: string[] = [];
  for (let i = 0; i < 5; i++) pids.push(String(await play(path)));
  const took = performance.now() - began;
  assert.equal((await lines(debounced, 1)).at(-1), pids[4]);
  const [, runs, skipped] =
    /^cnctl: (\d) runs?; (\d) skipped: \d over the limit$/.exec(await summary(limited)) ?? [];
  assert.equal(Number(runs) + Number(skipped), 5);
  assert(Number(runs) <= 1 + took / 1000 + 1, `${runs} runs in ${took} ms`);
  assert.match(await summary(debounced), /^cnctl: \d runs?; /);
});

lossless("cnctl on --once has the status of the command; --as-user runs it as that user", async () => {
  const { name, path } = ownProgram("/bin/sh");
  const run = await on(
    "start",
    "--once",
    "--as-user",
    "--user",
    "nobody",
    "--name",
    name,
    "--",
    "/bin/sh",
    "-c",
    "id -u; id -G; exit 5",
  );
  const folderMode = spawn("chmod", ["755", folder]);
  await new Promise((resolve) => folderMode.on("exit", resolve));
  await play("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", path, "-c", ":");
  let over = false;
  void run.ended.then(() => over = true);
  await says("the end", run, () => over);
  assert.equal(await run.ended, 5, run.said.error);
  assert.match(run.said.out, /^65534\n65534\n$/);
}, skip || (process.getuid?.() !== 0 && "needs root"));

lossless("SIGTERM ends what cnctl on has started, with its children", async () => {
  const { name, path } = ownProgram("/bin/true");
  const run = await on("start", "--name", name, "--", "/bin/sh", "-c", "sleep 60 & echo $$ $!; wait");
  await play(path);
  const pids = (await lines(run, 1))[0]!.split(" ").map(Number);
  await summary(run);
  await eventually("their end", () => pids.every((pid) => !isRunning(pid)), LIMIT_MS);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("cnctl on: what cannot work is said before anything is watched", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["start", "--name", "x", "--", "no-such-program"], /there is no program "no-such-program" in PATH/],
    [["start", "--name", "x", "--", "/no/such"], /there is no file "\/no\/such"/],
    [["start", "--name", "x", "--", "/etc/passwd"], /"\/etc\/passwd" is not executable; chmod \+x/],
    [["start", "--name", "x", "--", "/tmp"], /is not executable/],
    [["start", "--", "true"], /give a filter, such as --name/],
    [["begin", "--name", "x", "--", "true"], /Choose from start, exit, fail, core/],
    [["exit", "--first", "--name", "x", "--", "true"], /--first is for start/],
    [["fail", "--last", "--name", "x", "--", "true"], /--last is for exit/],
    [["start", "--name", "x", "--limit", "0/s", "--", "true"], /whole number above 0/],
    [["start", "--name", "x", "--limit", "5", "--", "true"], /such as 5\/s/],
    [["start", "--name", "x", "--parents", "65", "--", "true"], /from 1 to 64/],
    [["start", "--name", "x"], /missing required argument 'cmd'/],
  ];
  await Promise.all(cases.map(async ([args, complaint]) => {
    const run = cnctl(["on", ...args]);
    assert.equal(await run.ended, 2, run.said.error);
    assert.match(run.said.error, complaint);
  }));
});
