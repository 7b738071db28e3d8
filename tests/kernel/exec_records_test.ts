import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import type { Libc } from "../../ffi/libc.ts";
import { openProcessWatch } from "../../lib/processes/open.ts";
import { openSystem } from "../../lib/system.ts";
import { ExecRecords } from "../../lib/processes/exec_records.ts";
import { fixedBytes, LITTLE, viewOf } from "../../lib/wire/bytes.ts";
import type { ProcessWatchStats } from "../../lib/processes/stats.ts";
import { decodeText } from "../../lib/wire/text.ts";
import { type ProcessInfoOptions, type ProcessWatch, watchProcesses } from "../../mod.ts";
import {
  buildExecs,
  type Exec,
  type SeenExec,
  startExecs,
  wrongArguments,
  wrongFile,
} from "../support/execs.ts";
import { eventually, whyNoProcessEvents } from "../support/kernel.ts";
import { command, inVirtualMachine, root, runtime } from "../support/runtimes.ts";

const { libc } = await openSystem("test exec records");
const skip = await whyNoProcessEvents() || whyNoRecords();

function whyNoRecords(): string | false {
  try {
    ExecRecords.open(libc, "record execs")[Symbol.dispose]();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

const built = buildExecs();
const skipExecs = skip || ("missing" in built && built.missing);
/** More commands, for example EXECS=1000, find more. Every way of an exec comes three times in these. */
const count = Number(process.env.EXECS ?? 81);
const LIMIT_MS = (60_000 + 100 * count) * (inVirtualMachine ? 10 : 1);
const LONGEST = "y".repeat(100_000);

/** Makes the commands under a watch; answers what happened, what the watch showed of it, and its counters. */
async function watchExecs(processInfo: ProcessInfoOptions): Promise<{
  readonly truth: readonly Exec[];
  /** In the order of `truth`; undefined where no event came. */
  readonly seen: readonly (SeenExec | undefined)[];
  readonly stats: NonNullable<ProcessWatchStats["commandLines"]>;
}> {
  // Where others on this machine make so many events that some of ours may be lost, nothing can be judged.
  for (let attempt = 0; attempt < 20; attempt++) {
    await using watch = await open(processInfo);
    const { child, truth } = startExecs("path" in built ? built.path : "", count);
    const shown = new Map<number, SeenExec[]>();
    let lost = false;
    for await (const event of watch) {
      if (event.type === "lost") lost = true;
      if (lost || (event.type === "exit" && event.pid === child.pid)) break;
      // Pids are reused: where others fork a lot, within a second.
      if (event.type !== "exec" || event.process!.parentPid !== child.pid) continue;
      const execs = shown.get(event.pid);
      if (execs === undefined) shown.set(event.pid, [event.process!]);
      else execs.push(event.process!);
    }
    const execs = await truth;
    const stats = watch.stats().commandLines!;
    if (lost || stats.dropped > 0) continue;
    return { truth: execs, seen: execs.map(({ pid }) => shown.get(pid)?.shift()), stats };
  }
  throw new Error("this machine is too busy");
}

function open(processInfo: ProcessInfoOptions): Promise<ProcessWatch> {
  return watchProcesses({
    events: ["exec", "exit"],
    processInfo,
    signal: AbortSignal.timeout(LIMIT_MS),
  });
}

for (const fields of [["commandLine"], undefined] as const) {
  test(
    `every argument vector of ${count} quick commands is right: ${fields ?? "all fields"}`,
    { skip: skipExecs, timeout: LIMIT_MS },
    async () => {
      const { truth, seen, stats } = await watchExecs({ execRecords: "required", fields });
      assert(truth.length > count);
      const wrong = truth.flatMap((exec, i) => {
        if (seen[i] === undefined) return [`${describe(exec)}: no event`];
        return [wrongArguments(exec, seen[i]), wrongFile(exec, seen[i])]
          .flatMap((what) => what === undefined ? [] : [`${describe(exec)}: ${what}`]);
      });
      assert.deepEqual(wrong, []);
      // The first one ends at once; the path given to execve leads to its file.
      if (fields === undefined) assert.equal(seen[0]!.exe, truth[0]!.file);
      assert.equal(stats.recorder, "active");
      assert(stats.fromRecords >= truth.length);
    },
  );
}

/** The beginning of a command line, for people. */
function describe({ bytes }: Exec): string {
  return JSON.stringify(decodeText(bytes.subarray(0, 60)).replaceAll("\0", " "));
}

test(
  "arguments longer than a record come whole from /proc while the process is there",
  { skip },
  async () => {
    const watch = await open({ execRecords: "required", commandLineBytes: 200_000 });
    const child = spawn("/bin/cat", ["-", LONGEST], { stdio: ["pipe", "ignore", "ignore"] });
    for await (const event of watch) {
      if (event.type !== "exec" || event.pid !== child.pid) continue;
      assert.deepEqual(event.process!.commandLine, ["/bin/cat", "-", LONGEST]);
      assert.equal(event.process!.commandLineTruncated, false);
      break;
    }
    child.stdin.end();
    await once(child, "exit");
  },
);

test("commandLineBytes holds for records", { skip }, async () => {
  const watch = await open({ execRecords: "required", commandLineBytes: 14 });
  const child = spawn("/bin/true", ["abcdef"], { stdio: "ignore" });
  for await (const event of watch) {
    if (event.type !== "exec" || event.pid !== child.pid) continue;
    assert.deepEqual(event.process!.commandLine, ["/bin/true", "abcd"]);
    assert.equal(event.process!.commandLineTruncated, true);
    break;
  }
});

test("without records /proc is read, and stats() counts what it could not tell", { skip }, async () => {
  const watch = await open({ execRecords: "off" });
  const child = spawn("/bin/cat", ["alive", "-"], { stdio: ["pipe", "ignore", "ignore"] });
  for await (const event of watch) {
    if (event.type !== "exec" || event.pid !== child.pid) continue;
    assert.deepEqual(event.process!.commandLine, ["/bin/cat", "alive", "-"]);
    break;
  }
  child.stdin.end();
  await once(child, "exit");
  const { fromRecords, fromProc, recorder } = watch.stats().commandLines!;
  assert.equal(recorder, "off");
  assert.equal(fromRecords, 0);
  assert(fromProc >= 1);
});

test("records are made before the subscription: the first exec of a watch has one", { skip }, async () => {
  const system = await openSystem("test exec records");
  let child: ChildProcess | undefined;
  // The moment when the kernel has acknowledged, and nothing has been read yet.
  const libc: Libc = {
    ...system.libc,
    getdents64(fd, into) {
      child ??= spawn("/bin/sh", ["-c", "exit 3"]);
      return system.libc.getdents64(fd, into);
    },
  };
  await using watch = openProcessWatch({ ...system, libc }, { events: ["exec"], processInfo: true });
  for await (const event of watch) {
    if (event.pid !== child!.pid) continue;
    assert.deepEqual(event.process!.commandLine, ["/bin/sh", "-c", "exit 3"]);
    break;
  }
  const { recorder, fromProc, unknown } = watch.stats().commandLines!;
  assert.deepEqual({ recorder, fromProc, unknown }, { recorder: "active", fromProc: 0, unknown: {} });
});

/** The numbers of the programs whose descriptors a process holds. */
function programsOf(pid: number): number[] {
  const folder = `/proc/${pid}/fdinfo`;
  return readdirSync(folder).flatMap((fd) => {
    let text = "";
    try {
      text = readFileSync(join(folder, fd), "utf8");
    } catch {
      return []; // closed meanwhile
    }
    const id = /^prog_type:\t17$/m.test(text) ? /^prog_id:\t(\d+)$/m.exec(text)?.[1] : undefined;
    return id === undefined ? [] : [Number(id)];
  });
}

/** Whether the kernel has a program of this number: BPF_PROG_GET_FD_BY_ID. */
function hasProgram(id: number): boolean {
  const attributes = fixedBytes(12);
  viewOf(attributes).setUint32(0, id, LITTLE);
  const fd = libc.bpf(13, attributes);
  if (fd >= 0) libc.close(fd);
  return fd >= 0;
}

test("nothing stays in the kernel, after close() and after SIGKILL", { skip }, async () => {
  {
    await using _first = await open({ execRecords: "required" });
    await using _second = await open({ execRecords: "required" });
    const own = programsOf(process.pid);
    assert.equal(new Set(own).size, 1, "two watches share one program");
  }
  assert.deepEqual(programsOf(process.pid), []);

  const [program, ...args] = command(runtime, join(root, "tests/kernel/programs/records_execs.ts"));
  const child = spawn(program!, [...args, "required"], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await once(child.stdout, "data") as [Uint8Array];
  assert.equal(JSON.parse(String(line)).recorder, "active");
  const ids = programsOf(child.pid!);
  assert(ids.length > 0 && ids.every(hasProgram));
  child.kill("SIGKILL");
  await once(child, "exit");
  await eventually("the program is gone", () => !ids.some(hasProgram));
});
