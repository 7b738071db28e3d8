import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { textWidth } from "../../lib/cli/io/text.ts";
import { cnctl, LIMIT_MS } from "../support/cnctl.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, root, runtime } from "../support/runtimes.ts";
import { Tmux, whyNoTmux } from "../support/tmux.ts";

const skip = whyNoTmux() || await whyNoProcessEvents();

/** Writes the state of the terminal: `icanon` and `echo` as before. */
const STATE = `stty -a | tr ' ;' '\\n\\n' | grep -x -e '-*icanon' -e '-*echo'`;

/** A program of ours as a shell script, which writes its pid first, and afterwards its status and the terminal's state. */
function script(args: string, folder: string, file = "lib/cli/main.ts"): string {
  const words = command(runtime, join(root, file)).map((word) => `'${word}'`).join(" ");
  return `echo before; sh -c 'echo $$ > "$1"; shift; exec "$@"' - '${folder}/pid' ${words} ${args}; ` +
    `echo "status $?"; ${STATE}`;
}

/** A folder for a test. */
function makeFolder(t: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "cnctl-screen-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Runs `cnctl` in a terminal, and waits for its first screen. */
async function open(
  args: string,
  folder: string,
  { columns = 80, rows = 24, env = "unset NO_COLOR;" }: { columns?: number; rows?: number; env?: string } =
    {},
): Promise<{ terminal: Tmux; pid: number }> {
  const terminal = new Tmux(`${env} ${script(args, folder)}`, columns, rows);
  try {
    await terminal.shows(/^\d+ .*running/);
  } catch (error) {
    terminal[Symbol.dispose]();
    throw error;
  }
  return { terminal, pid: Number(readFileSync(join(folder, "pid"), "utf8")) };
}

/** A script with a name of its own that runs, and ends when its standard input does. */
function startScript(folder: string): { name: string; child: ChildProcess } {
  const name = `sc${process.pid}-${Math.floor(Math.random() * 1e5)}`;
  writeFileSync(join(folder, name), "#!/bin/sh\nread line\nexit 3\n");
  chmodSync(join(folder, name), 0o755);
  return { name, child: spawn(join(folder, name), { stdio: ["pipe", "ignore", "ignore"] }) };
}

test("cnctl top fits every width, sorts, filters and groups by another key", { skip }, async (t) => {
  const folder = makeFolder(t);
  const { terminal } = await open("top", folder);
  using _terminal = terminal;
  const { name, child } = startScript(folder);
  terminal.type("/", name, "Enter");
  await terminal.shows(new RegExp(`^ +\\d+ +1 +0 +0 +\\S+ +- +- +0 ${name}$`, "m"));
  child.stdin!.end();
  await terminal.shows(new RegExp(`^ +0 +0 +1 +1 +- +\\S+s +\\S+s +0 ${name}`, "m"));
  for (const [columns, last] of [[200, "Failed with"], [60, "CPU"], [40, "Ended"]] as const) {
    terminal.resize(columns, 15);
    await terminal.shows(new RegExp(`^ >New/s Running .*${last}`, "m"));
    const lines = terminal.lines();
    assert.equal(lines.length, 15);
    for (const line of lines) assert(textWidth(line) <= columns, line);
    assert.match(lines.at(-1)!, /^q quit/);
    if (columns >= 60) assert.match(lines[0]!, /lost/, "what was lost is not cut off");
  }
  terminal.resize(100, 15);
  terminal.type("s");
  await terminal.shows(/^ {2}New\/s>Running/m);
  terminal.type("/", "Escape");
  terminal.type("b");
  await terminal.shows(/ Parent +/);
  await terminal.shows(/^q quit {2}b by parent {2}s sort by running/m);
});

test("the terminal is as before after q, Ctrl-C, SIGTERM and SIGHUP", { skip }, async (t) => {
  const ends: [string, string, (terminal: Tmux, pid: number) => void][] = [
    ["top", "q", (terminal) => terminal.type("q")],
    ["top", "SIGTERM", (_terminal, pid) => process.kill(pid, "SIGTERM")],
    ["tree", "Ctrl-C", (terminal) => terminal.type("C-c")],
    ["tree", "SIGHUP", (_terminal, pid) => process.kill(pid, "SIGHUP")],
  ];
  for (const [args, how, end] of ends) {
    const { terminal, pid } = await open(args, makeFolder(t), { columns: 60, rows: 40 });
    using _terminal = terminal;
    end(terminal, pid);
    await terminal.shows(/^-?echo$/m);
    // A runtime may have written warnings of its own.
    const lines = terminal.lines().filter((line) => line !== "");
    assert(lines.includes("before"), `${args}: ${how}`);
    assert.deepEqual(lines.slice(-3), ["status 0", "icanon", "echo"], `${args}: ${how}`);
  }
});

test("Ctrl-Z and SIGTSTP give the terminal back, and fg draws again", { skip }, async (t) => {
  const folder = makeFolder(t);
  // A shell with job control, as users have.
  const again = `read line; fg; echo "status $?"; ${STATE}`;
  const shell = `set -m; ${script("top", folder)}; ${again}; ${again}`;
  const terminal = new Tmux(shell, 60, 20);
  using _terminal = terminal;
  await terminal.shows(/^\d+ .*running/);
  const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
  const stops = [() => terminal.type("C-z"), () => process.kill(pid, "SIGTSTP")];
  for (const stop of stops) {
    stop();
    // 128 + SIGTSTP, or on Deno SIGSTOP. What was there at the first stop may still be on the screen at the second.
    await eventually("the stop", () => /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8")), LIMIT_MS);
    await terminal.shows(/^status 14[78]\nicanon\necho$/m);
    terminal.type("Enter");
    await terminal.shows(/^\d+ .*running/);
  }
  terminal.type("q");
  await terminal.shows(/^status 0\nicanon\necho$/m);
});

test("Ctrl-Z where no shell could continue it: the screen stays", { skip }, async (t) => {
  const { terminal, pid } = await open("tree", makeFolder(t), { columns: 60, rows: 20 });
  using _terminal = terminal;
  terminal.type("C-z");
  await eventually("that it takes keys again", () => {
    terminal.type("/");
    return terminal.lines().some((line) => /^Search: .*_$/.test(line));
  }, LIMIT_MS);
  assert(isRunning(pid));
});

test("an error of a view ends the program and is read on the restored terminal", { skip }, async (t) => {
  for (const where of ["draw", "key", "prepare"]) {
    const shell = `unset NO_COLOR; ${script(where, makeFolder(t), "tests/kernel/programs/draws.ts")}`;
    const terminal = new Tmux(shell, 60, 20);
    using _terminal = terminal;
    if (where === "key") {
      await terminal.shows(/^frame 1 of 60 x 20$/m);
      terminal.type("x");
    }
    await terminal.shows(/^-?echo$/m);
    const lines = terminal.lines().filter((line) => line !== "");
    assert(lines.includes("before"), where);
    assert.deepEqual(lines.slice(-4), ["cnctl: the view fails", "status 1", "icanon", "echo"], where);
  }
});

test("cnctl top and tree end when the terminal is gone", { skip }, async (t) => {
  for (const args of ["top", "tree"]) {
    const { terminal, pid } = await open(args, makeFolder(t));
    using _terminal = terminal;
    process.kill(terminal.serverPid, "SIGKILL");
    await eventually("the end", () => !isRunning(pid), LIMIT_MS);
  }
});

test("NO_COLOR is honoured", { skip }, async (t) => {
  const { terminal } = await open("tree", makeFolder(t), { env: "export NO_COLOR=1;" });
  using _terminal = terminal;
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(terminal.lines(true).join("\n"), /\x1b\[[\d;]*m/);
  await terminal.shows(/^> +1 /m); // the cursor is visible nevertheless
});

test("cnctl tree shows how a process ended for some seconds", { skip }, async (t) => {
  const folder = makeFolder(t);
  const { terminal } = await open(`tree ${process.pid}`, folder, { columns: 100 });
  using _terminal = terminal;
  const { name, child } = startScript(folder);
  await terminal.shows(new RegExp(`^ *${child.pid} +1 +1 +0 +\\S+ .*─/bin/sh .*${name}$`, "m"));
  child.stdin!.end();
  await terminal.shows(new RegExp(`^ *${child.pid} +0 +1 +1 +\\S+s 3 .*${name}$`, "m"));
  const [line] = terminal.lines(true).filter((each) => each.includes(String(child.pid)));
  // deno-lint-ignore no-control-regex
  assert.match(line!, /\x1b\[31m/);
  await eventually("that it disappears", () => !terminal.lines().join().includes(name), LIMIT_MS);
  terminal.type("f", "no such process", "Enter");
  await terminal.shows(/\(no such process\)/);
});

test("cnctl tree prints a snapshot where there is no terminal", () => {
  const [program, ...args] = [
    ...command(runtime, join(root, "lib/cli/main.ts")),
    "tree",
    String(process.pid),
  ];
  const text = spawnSync(program!, args, { encoding: "utf8" });
  assert.equal(text.status, 0, text.stderr);
  const [titles, own, child] = text.stdout.split("\n");
  assert.equal(titles, "    PID Procs    Life Command");
  assert.match(own!, new RegExp(`^ *${process.pid} +\\d+ +\\S+ \\S`));
  assert.match(child!, /^ *\d+ +\d+ +\S+ [├└]─/);
  const json = spawnSync(program!, [...args, "--json"], { encoding: "utf8" });
  const objects = json.stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual([objects[0].depth, objects[0].pid, objects[1].parentPid], [0, process.pid, process.pid]);
});

test("TERM=dumb: top says what to do instead, and tree prints a snapshot", { skip }, async (t) => {
  const env = "export TERM=dumb;";
  for (
    const [args, said] of [
      ["top", /this terminal cannot move the cursor \(TERM=dumb\)\. Use "cnctl stat"/],
      [`tree ${process.pid}`, /^ +PID Procs +Life Command\n *\d+ /m],
    ] as const
  ) {
    const terminal = new Tmux(`${env} ${script(args, makeFolder(t))}`, 120, 30);
    using _terminal = terminal;
    await terminal.shows(/^-?echo$/m);
    await terminal.shows(said);
    await terminal.shows(args === "top" ? /^status 2\nicanon\necho$/m : /^status 0\nicanon\necho$/m);
  }
});

test("cnctl top without a terminal says what to do instead; wrong arguments are sentences", async () => {
  for (
    const [args, message] of [
      [
        ["top"],
        /^cnctl: Cannot show a live table: standard output is not a terminal\. Use "cnctl stat" instead\.\n/,
      ],
      [["top", "--delay", "0"], /It must be a number above 0/],
      [["top", "--by", "x"], /Allowed choices are program, parent, user, cgroup/],
      [["tree", "x"], /It must be a process id/],
    ] as const
  ) {
    const run = cnctl(args);
    assert.equal(await run.ended, 2);
    assert.match(run.said.error, message);
  }
  const gone = cnctl(["tree", "2147483646"]);
  assert.equal(await gone.ended, 1);
  assert.match(
    gone.said.error,
    /^cnctl: Cannot show the tree of process 2147483646: there is no such process\n$/,
  );
});

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
