import assert from "node:assert/strict";
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { openSystem } from "../../lib/system.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import type { WatchProcessesOptions } from "../../lib/processes/options.ts";
import type { ProcessEvent } from "../../lib/processes/event.ts";
import { eventually, unifiedHierarchy, whyNoProcessEvents } from "../support/kernel.ts";

const skip = await whyNoProcessEvents();
const root = process.getuid!() === 0;

/** Where the unified hierarchy is mounted. */
const hierarchy = unifiedHierarchy();

/** A directory for the programs of this file, and a marker program that every filter includes. */
const folder = realpathSync(mkdtempSync(join(tmpdir(), "meaning-")));
after(() => rmSync(folder, { recursive: true }));
const MARKER = "kc-marker";
const marker = join(folder, MARKER);
copyFileSync("/bin/cat", marker);

/** A program that reads its standard input to the end, and so runs until it is closed. */
interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly options?: SpawnOptions;
  /** Its name when it has become the program that reads; by default that of the file. */
  readonly name?: string;
}

/** Runs the programs under a watch that includes the marker, and returns the types of the events of each. */
async function seenOf(
  options: WatchProcessesOptions,
  programs: readonly Program[],
  last: Program = { command: marker, args: [] },
): Promise<string[]> {
  const system = await openSystem("test");
  await using watch = openProcessWatch(system, {
    signal: AbortSignal.timeout(30_000),
    events: ["exec", "exit"],
    ...options,
  });
  const start = ({ command, args, options }: Program): ChildProcess =>
    spawn(command, args, { stdio: ["pipe", "ignore", "ignore"], ...options });
  const children = programs.map(start);
  // The marker comes last, so everything that the watch will see of the others has been received before it.
  for (const [index, { pid }] of children.entries()) {
    const { command, name = basename(command).slice(0, 15) } = programs[index]!;
    const sleepsAs = `${pid} (${name}) S `;
    await eventually(
      `${command} reads`,
      () => readFileSync(`/proc/${pid}/stat`, "latin1").startsWith(sleepsAs),
    );
  }
  const marking = start(last);
  try {
    const seen: ProcessEvent[] = [];
    for await (const event of watch) {
      seen.push(event);
      if (event.pid !== marking.pid) continue;
      if (event.type === "exec" && event.process?.comm === MARKER) {
        // All of them have been read: now they may end, and then the marker.
        for (const child of children) child.stdin!.end();
        for (const child of children) if (child.exitCode === null) await once(child, "exit");
        marking.stdin!.end();
      }
      if (event.type === "exit") break;
    }
    return children.map(({ pid }) =>
      seen.filter((event) =>
        event.pid === pid &&
        !(event.type === "exit" && event.thread)
      ).map(({ type }) => type).join(" ")
    );
  } finally {
    for (const child of [...children, marking]) child.kill("SIGKILL");
  }
}

const cat: Program = { command: "/bin/cat", args: [] };
const shell: Program = { command: "/bin/sh", args: ["-c", "read x; :"] };

test("exe matches a link, a name in PATH, a relative path and a script", { skip }, async () => {
  const before = process.cwd();
  copyFileSync("/bin/cat", join(folder, "tool"));
  writeFileSync(join(folder, "script"), "#!/bin/sh -e\nread x\n:\n");
  writeFileSync(join(folder, "snake"), "#!/usr/bin/env sh\nread x\n:\n");
  for (const name of ["tool", "script", "snake"]) chmodSync(join(folder, name), 0o755);
  symlinkSync("tool", join(folder, "link"));
  const tool: Program = { command: join(folder, "link"), args: [] };
  const script: Program = { command: "./script", args: [], options: { cwd: folder } };
  const snake: Program = { command: join(folder, "snake"), args: ["x"], name: "sh" };
  const namesIt: Program = { command: "/bin/sh", args: ["-c", "read x; :", join(folder, "script")] };
  const seen = (exe: string, ...programs: Program[]): Promise<string[]> =>
    seenOf({ exe: [exe, marker] }, programs);

  assert.deepEqual(await seen("/bin/cat", cat, shell), ["exec exit", ""]);
  assert.deepEqual(await seen("sh", shell, cat), ["exec exit", ""]);
  assert.deepEqual(await seen("/bin/*", cat, tool), ["exec exit", ""]);
  assert.deepEqual(await seen(join(folder, "link"), tool, cat), ["exec exit", ""]);
  process.chdir(folder);
  try {
    assert.deepEqual(await seen("./tool", tool, cat), ["exec exit", ""]);
    assert.deepEqual(await seen("./script", script, namesIt, snake), ["exec exit", "", ""]);
  } finally {
    process.chdir(before);
  }
  // First env(1), then the shell; whether the first can be read depends on timing.
  const [ofSnake, ofScript] = await seen(join(folder, "snake"), snake, script);
  assert.match(ofSnake!, /exec exit$/);
  assert.equal(ofScript, "");
  await assert.rejects(seen("./nothing-here"), /there is no file ".\/nothing-here"/);
});

test(
  "a name of more than 15 bytes, and patterns for names and arguments with arbitrary bytes",
  { skip },
  async () => {
    const path = join(folder, "a*\n\u001b[2J-very-long-name");
    copyFileSync("/bin/cat", path);
    const long: Program = { command: path, args: [] };
    assert.deepEqual(await seenOf({ comm: ["a\\*\n\u001b[2J-very-*", MARKER] }, [long, cat]), [
      "exec exit",
      "",
    ]);
    copyFileSync("/bin/cat", join(folder, "gnome-terminal-server"));
    const server: Program = { command: join(folder, "gnome-terminal-server"), args: [] };
    assert.deepEqual(await seenOf({ comm: ["gnome-terminal-server", MARKER] }, [server, cat]), [
      "exec exit",
      "",
    ]);
    const marked: Program = {
      command: "/bin/sh",
      args: ["-c", "read x; :", "a", "mark\u001b]0;x\u0007", "b"],
    };
    const commandLine = ["a mark?]0;x? b", MARKER];
    assert.deepEqual(await seenOf({ commandLine }, [marked, shell]), ["exec exit", ""]);
  },
);

test("excluded processes are not shown, the others are", { skip }, async () => {
  assert.deepEqual(await seenOf({ exclude: { comm: "ca?" } }, [cat, shell]), ["", "exec exit"]);
  assert.deepEqual(await seenOf({ exclude: { exe: "sh", users: [4711] } }, [cat, shell]), ["exec exit", ""]);
});

test("a control group by its mount path, by its name, and for a process that is moved into it later", {
  skip: skip || (root && hierarchy !== undefined ? false : "wants root and the unified hierarchy"),
}, async () => {
  const name = `kernel-connector-test-${process.pid}`;
  const group = join(hierarchy!, name);
  mkdirSync(group);
  try {
    const enter = `echo $$ > ${join(group, "cgroup.procs")}`;
    const last: Program = { command: "/bin/sh", args: ["-c", `${enter}; exec ${marker}`] };
    const inside: Program = { command: "/bin/sh", args: ["-c", `${enter}; exec cat`], name: "cat" };
    for (const cgroup of [group, name, `/${name.slice(0, -1)}?`]) {
      const [ofInside, ofShell] = await seenOf({ cgroup }, [inside, shell], last);
      assert.match(ofInside!, /exec exit$/, cgroup);
      assert.equal(ofShell, "", cgroup);
    }
    // Its exec was outside the group; its forks and its exit are inside.
    const moved: Program = { command: "/bin/sh", args: ["-c", `read x; ${enter}; (read y); :`] };
    const system = await openSystem("test");
    await using watch = openProcessWatch(system, {
      cgroup: group,
      events: ["fork"],
      signal: AbortSignal.timeout(30_000),
    });
    const child = spawn(moved.command, moved.args, { stdio: ["pipe", "ignore", "ignore"] });
    child.stdin!.write("in\n");
    for await (const event of watch) if (event.type === "fork" && event.parentPid === child.pid) break;
    child.stdin!.end("out\n");
    await once(child, "exit");
  } finally {
    rmdirSync(group);
  }
});

test("a process that is moved while it runs: its forks and exit belong to the group it is in then", {
  skip: skip || (root && hierarchy !== undefined ? false : "wants root and the unified hierarchy"),
}, async () => {
  const group = join(hierarchy!, `kernel-connector-moved-${process.pid}`);
  mkdirSync(group);
  /** Moves a process, or the one that writes. */
  const move = (pid: number, to: string): void => writeFileSync(join(to, "cgroup.procs"), String(pid));
  // The parent of the process never waits, so that the group can be read for as long as anybody likes.
  const start = (): ChildProcess =>
    spawn("/bin/sh", ["-c", 'exec 3<&0; sh -c "read x; (read y); :" <&3 & echo $!; exec sleep 600'], {
      stdio: ["pipe", "pipe", "ignore"],
    });
  const parents = [start(), start()];
  try {
    const pids: number[] = [];
    for (const { stdout } of parents) pids.push(Number(String((await once(stdout!, "data"))[0])));
    const [into, outOf] = pids as [number, number];
    move(outOf, group);
    const system = await openSystem("test");
    await using watch = openProcessWatch(system, {
      cgroup: group,
      events: ["fork", "exit"],
      signal: AbortSignal.timeout(30_000),
    });
    move(outOf, hierarchy!);
    move(into, group);
    // One after the other: whatever is shown of the first comes before the end of the second.
    for (const [i, pid] of [outOf, into].entries()) {
      parents[1 - i]!.stdin!.end("x\ny\n");
      await zombie(pid);
    }
    const seen: (readonly [string, string | undefined])[] = [];
    for await (const event of watch) {
      if (event.type === "lost" || event.type === "unknown") continue;
      assert.notEqual(event.pid, outOf);
      const process = event.type === "fork" ? event.parentPid : event.pid;
      assert.notEqual(process, outOf);
      if (process === into) seen.push([event.type, event.process?.cgroup]);
      if (event.type === "exit" && event.pid === into) break;
    }
    const path = `/${basename(group)}`;
    assert.deepEqual(seen, [["fork", path], ["exit", path]]);
  } finally {
    for (const parent of parents) parent.kill("SIGKILL");
    // The zombies leave the group once their parent's end lets somebody wait for them.
    await eventually("an empty group", () => readFileSync(join(group, "cgroup.procs"), "utf8") === "");
    rmdirSync(group);
  }
});

/** Resolves once a process has ended and nobody has waited for it. */
async function zombie(pid: number): Promise<void> {
  await eventually(
    `the end of ${pid}`,
    () => readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z "),
    30_000,
  );
}
